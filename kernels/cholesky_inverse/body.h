// cholesky_inverse over the sixteen lanes of common/lanes.h.
//
// The augmented matrix [C + damping I | I] is reduced to [U | M] with U^T U = C + damping I and M = U^-T, one row of
// 16 x 16 tiles after the other (each takes all earlier rows at once, so sums stay in registers); the inverse is M^T M.
// U and M are stored in panels (common/tile.h), padded to whole tiles by an identity.
#ifndef THOR_CHOLESKY_INVERSE_BODY_H_
#define THOR_CHOLESKY_INVERSE_BODY_H_

#include "cholesky_inverse/cholesky_inverse.h"
#include "cholesky_inverse/implementation.h"
#include "common/tile.h"

namespace {

// An n x n matrix in panels; n is a multiple of kLanes.
struct Panels {
  float* data;
  int64_t n;
  float* At(int64_t row, int64_t column) const { return data + column * n + row * kLanes; }  // column % kLanes == 0
  int64_t Size() const { return n * kLanes; }
};

// Zero where every x that was added is finite, otherwise NaN.
struct FiniteCheck {
  Floats sum = Set(0);
  void Add(Floats x) { sum = MultiplyAdd(x, Set(0), sum); }
  bool Passed() const { return SumLanes(sum) == 0; }
};

// The diagonal tile of a row, factored: rows of U are scale[k] * (pivot[k] * multiplier[k]).
struct Pivots {
  float multiplier[kLanes][kLanes];
  float scale[kLanes];
};

// Row i of an identity tile.
inline Floats UnitRow(int i) { return DropFirst(Keep(Set(1), First{i + 1}), i); }

// The upper triangle of c + damping I, and an identity where u is larger than c.
inline void PackUpper(const float* c, float damping, int64_t n, Panels u) {
  for (int64_t i = 0; i < u.n; ++i) {
    const int before = static_cast<int>(i % kLanes);  // columns of the tile that are left of the diagonal
    const int64_t first = i - before;
    float* const diagonal = u.At(i, first);
    if (i < n) {
      const float* const source = c + i * n + first;
      ForEachVector(n - first,
                    [=](int64_t j, auto lanes) { Store(u.At(i, first + j), Load(source + j, lanes), All{}); });
      Store(diagonal, DropFirst(Load(diagonal, All{}), before) + UnitRow(before) * Set(damping), All{});
    } else {
      Store(diagonal, UnitRow(before), All{});
    }
  }
}

inline bool UpperIsFinite(Panels u) {
  FiniteCheck check;
  for (int64_t j = 0; j < u.n; j += kLanes)
    for (int64_t i = 0; i < j + kLanes; ++i) check.Add(Load(u.At(i, j), All{}));
  return check.Passed();
}

// Factors a diagonal tile; returns the number of its first pivot that is not positive and finite, counted from 1, or 0.
inline int32_t FactorTile(const float* tile, Pivots* pivots) {
  Floats row[kLanes], pivot = Set(0);
  for (int i = 0; i < kLanes; ++i) row[i] = Load(tile + i * kLanes, All{});
#pragma GCC unroll 16
  for (int k = 0; k < kLanes; ++k) {
    const Floats multiplier = row[k] / Lane(row[k], k);
    Store(pivots->multiplier[k], multiplier, All{});
    pivot = pivot + DropFirst(Keep(row[k], First{k + 1}), k);
#pragma GCC unroll 16
    for (int i = k + 1; i < kLanes; ++i) row[i] = SubtractProduct(Lane(row[k], i), multiplier, row[i]);
  }
  float value[kLanes];
  Store(value, pivot, All{});
  for (int k = 0; k < kLanes; ++k) pivots->scale[k] = 1.0f / __builtin_sqrtf(value[k]);
  for (int k = 0; k < kLanes; ++k)
    if (!(value[k] > 0 && value[k] < __builtin_inff())) return k + 1;
  return 0;
}

// tile = U_kk^-T * tile, U_kk being the factored diagonal tile.
inline void SolveTile(const Pivots& pivots, float* tile) {
  asm volatile("" ::: "memory");  // or the compiler broadcasts all multipliers once and spills them to the stack
  Floats row[kLanes];
  for (int i = 0; i < kLanes; ++i) row[i] = Load(tile + i * kLanes, All{});
#pragma GCC unroll 16
  for (int k = 0; k < kLanes; ++k) {
#pragma GCC unroll 16
    for (int i = k + 1; i < kLanes; ++i) row[i] = SubtractProduct(Set(pivots.multiplier[k][i]), row[k], row[i]);
    Store(tile + k * kLanes, row[k] * Set(pivots.scale[k]), All{});
  }
}

// sum = rows of left^T times tile columns of m from its column j on; m is lower triangular, so the sums over rows start
// at the diagonal of each tile column and end before row `end`. `left` is a tile column, taken from its column `first`.
template <int kVectors>
THOR_INLINE void MultiplyLower(Panels left, int64_t left_column, int64_t first, Panels m, int64_t j, int64_t end,
                               Floats (&sum)[kTileRows][kVectors]) {
  static_assert(kVectors <= 2, "one step for the second tile column");
  Clear(sum);
  int64_t row = j;
  if (kVectors == 2) {
    AddProduct<1>(kLanes, PanelColumns(left.At(row, left_column), first), m.At(row, j), m.Size(), sum);
    row += kLanes;
  }
  AddProduct<kVectors>(end - row, PanelColumns(left.At(row, left_column), first), m.At(row, j), m.Size(), sum);
}

// Tile row k of U, before the division by its diagonal tile: u(k, j) -= sum over rows r < k of u(r, k) u(r, j), j >= k.
inline void SubtractRowsOfFactor(Panels u, int64_t k) {
  ForEachTileColumn(k, u.n, [&](int64_t j, auto vectors) {
    for (int64_t i = 0; i < kLanes; i += kTileRows) {
      Floats sum[kTileRows][vectors()];
      Clear(sum);
      AddProduct<vectors()>(k, PanelColumns(u.At(0, k), i), u.At(0, j), u.Size(), sum);
      for (int r = 0; r < kTileRows; ++r)
        for (int v = 0; v < vectors(); ++v) {
          float* const target = u.At(k + i + r, j + v * kLanes);
          Store(target, Load(target, All{}) - sum[r][v], All{});
        }
    }
  });
}

// Tile row k of M left of its diagonal, likewise: m(k, j) = -sum over rows j <= r < k of u(r, k) m(r, j).
inline void SubtractRowsOfInverse(Panels u, Panels m, int64_t k) {
  ForEachTileColumn(0, k, [&](int64_t j, auto vectors) {
    for (int64_t i = 0; i < kLanes; i += kTileRows) {
      Floats sum[kTileRows][vectors()];
      MultiplyLower(u, k, i, m, j, k, sum);
      for (int r = 0; r < kTileRows; ++r)
        for (int v = 0; v < vectors(); ++v) Store(m.At(k + i + r, j + v * kLanes), Set(0) - sum[r][v], All{});
    }
  });
}

// Turns u from C + damping I into U, and m into U^-T; returns the number of the first pivot that is not positive, or 0.
inline int32_t FactorAndInvert(Panels u, Panels m) {
  Pivots pivots;
  for (int64_t k = 0; k < u.n; k += kLanes) {
    SubtractRowsOfFactor(u, k);
    if (const int32_t failed = FactorTile(u.At(k, k), &pivots)) return static_cast<int32_t>(k) + failed;
    SubtractRowsOfInverse(u, m, k);
    for (int i = 0; i < kLanes; ++i) Store(m.At(k + i, k), UnitRow(i), All{});
    for (int64_t j = k + kLanes; j < u.n; j += kLanes) SolveTile(pivots, u.At(k, j));
    for (int64_t j = 0; j <= k; j += kLanes) SolveTile(pivots, m.At(k, j));
  }
  return 0;
}

// products(i, j) = (m^T m)(i, j) for the tile row i.
template <int kVectors>
THOR_INLINE void MultiplyInverse(Panels m, int64_t i, int64_t j, Panels products) {
  for (int64_t first = 0; first < kLanes; first += kTileRows) {
    Floats sum[kTileRows][kVectors];
    MultiplyLower(m, i, first, m, j, m.n, sum);
    for (int r = 0; r < kTileRows; ++r)
      for (int v = 0; v < kVectors; ++v) Store(products.At(i + first + r, j + v * kLanes), sum[r][v], All{});
  }
}

// inverse = m^T m, by tiles on and above the diagonal and their mirror images; false if it overflows. An element is
// bounded by those on the diagonal (sums of squares), so the diagonal tiles tell.
inline bool StoreInverse(Panels m, int64_t n, Panels products, float* inverse) {
  FiniteCheck check;
  ForEachTileColumn(0, m.n, [&](int64_t j, auto vectors) {
    for (int64_t i = 0; i <= j; i += kLanes) MultiplyInverse<vectors()>(m, i, j, products);
    for (int64_t i = j + kLanes; i < j + vectors() * kLanes; i += kLanes) MultiplyInverse<1>(m, i, i, products);
    for (int64_t column = j; column < j + vectors() * kLanes; column += kLanes)
      for (int64_t i = 0; i <= column; i += kLanes) {
        Floats rows[kLanes];
        for (int r = 0; r < kLanes; ++r) rows[r] = Load(products.At(i + r, column), All{});
        if (i == column)
          for (int r = 0; r < kLanes; ++r) check.Add(rows[r]);
        StoreSymmetric(rows, i, column, n, n, inverse);
      }
  });
  return check.Passed();
}

inline int32_t InvertBlock(const float* c, float damping, int64_t n, float* inverse, float* scratch) {
  const Panels u = {scratch, RoundUp(n, kLanes)};
  const Panels m = {scratch + u.n * u.n, u.n};
  PackUpper(c, damping, n, u);
  int32_t status = FactorAndInvert(u, m);
  if (status != 0) {
    // What is not finite ends in the pivot of its column, so that good blocks need no check of their input.
    PackUpper(c, damping, n, u);
    if (!UpperIsFinite(u)) status = THOR_NOT_FINITE;
  } else if (!StoreInverse(m, n, u, inverse)) {
    status = THOR_NOT_FINITE;
  }
  if (status != 0) ForEachVector(n * n, [&](int64_t i, auto lanes) { Store(inverse + i, Set(0), lanes); });
  return status;
}

constexpr thor::CholeskyInverseImplementation kImplementation = InvertBlock;

}  // namespace

#endif  // THOR_CHOLESKY_INVERSE_BODY_H_
