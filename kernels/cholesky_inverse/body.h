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

constexpr int64_t kTile = kLanes * kLanes;  // floats of a 16 x 16 tile

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

// The upper triangle of c + damping I, and an identity where u is larger than c.
inline bool PackUpper(const float* c, float damping, int64_t n, Panels u) {
  FiniteCheck check;
  for (int64_t j = 0; j < u.n; j += kLanes) {
    const First lanes = {static_cast<int>(Smaller(kLanes, n - j))};
    for (int64_t i = 0; i < j + kLanes; ++i) Store(u.At(i, j), i < n ? Load(c + i * n + j, lanes) : Set(0), All{});
    for (int64_t i = 0; i < kLanes; ++i) {
      float* const row = u.At(j + i, j);
      for (int64_t k = 0; k < i; ++k) row[k] = 0;
      row[i] = j + i < n ? row[i] + damping : 1.0f;
    }
    for (int64_t i = 0; i < j + kLanes; ++i) check.Add(Load(u.At(i, j), All{}));
  }
  return check.Passed();
}

// Factors a diagonal tile, which is lost; returns the number of its first pivot that is not positive, counted from 1,
// or 0.
inline int32_t FactorTile(float* tile, Pivots* pivots) {
  Floats row[kLanes];
  for (int i = 0; i < kLanes; ++i) row[i] = Load(tile + i * kLanes, All{});
#pragma GCC unroll 16
  for (int k = 0; k < kLanes; ++k) {
    const Floats multiplier = row[k] / Lane(row[k], k);
    Store(pivots->multiplier[k], multiplier, All{});
    Store(tile + k * kLanes, row[k], All{});
#pragma GCC unroll 16
    for (int i = k + 1; i < kLanes; ++i) row[i] = SubtractProduct(Lane(multiplier, i), row[k], row[i]);
  }
  for (int k = 0; k < kLanes; ++k) {
    const float pivot = tile[k * kLanes + k];
    if (!(pivot > 0)) return k + 1;
    pivots->scale[k] = 1.0f / __builtin_sqrtf(pivot);
  }
  return 0;
}

// tile = U_kk^-T * tile, U_kk being the factored diagonal tile.
inline void SolveTile(const Pivots& pivots, float* tile) {
  Floats row[kLanes];
  for (int i = 0; i < kLanes; ++i) row[i] = Load(tile + i * kLanes, All{});
#pragma GCC unroll 16
  for (int k = 0; k < kLanes; ++k) {
#pragma GCC unroll 16
    for (int i = k + 1; i < kLanes; ++i) row[i] = SubtractProduct(Set(pivots.multiplier[k][i]), row[k], row[i]);
    Store(tile + k * kLanes, row[k] * Set(pivots.scale[k]), All{});
  }
}

// For the tile columns [begin, end) of the tile row k:
//   target(k, j) = start(k, j) - sum over rows r of U(r, k) * right(r, j), from `from(j)` to k.
template <typename From>
void SubtractRows(Panels u, Panels right, int64_t k, int64_t begin, int64_t end, bool add_target, From from) {
  ForEachTileColumn(begin, end, [&](int64_t j, auto vectors) {
    const int64_t first = from(j);
    for (int64_t i = 0; i < kLanes; i += kTileRows) {
      Floats sum[kTileRows][vectors()];
      const LeftFactor a = PanelColumns(u.At(first, k), i);
      MultiplyTile<vectors()>(k - first, a, right.At(first, j), right.Size(), sum);
      for (int r = 0; r < kTileRows; ++r)
        for (int v = 0; v < vectors(); ++v) {
          float* const target = right.At(k + i + r, j + v * kLanes);
          Store(target, (add_target ? Load(target, All{}) : Set(0)) - sum[r][v], All{});
        }
    }
  });
}

inline void StoreIdentity(float* tile) {
  for (int i = 0; i < kLanes; ++i)
    for (int j = 0; j < kLanes; ++j) tile[i * kLanes + j] = i == j ? 1.0f : 0.0f;
}

inline void StoreZeros(float* tile) {
  for (int i = 0; i < kLanes; ++i) Store(tile + i * kLanes, Set(0), All{});
}

// Turns u from C + damping I into U, and m into U^-T; returns the number of the first pivot that is not positive, or 0.
inline int32_t FactorAndInvert(Panels u, Panels m) {
  Pivots pivots;
  for (int64_t k = 0; k < u.n; k += kLanes) {
    SubtractRows(u, u, k, k, u.n, true, [](int64_t) { return int64_t{0}; });
    if (const int32_t failed = FactorTile(u.At(k, k), &pivots)) return static_cast<int32_t>(k) + failed;
    SubtractRows(u, m, k, 0, k, false, [](int64_t j) { return j; });
    StoreIdentity(m.At(k, k));
    for (int64_t j = k + kLanes; j < u.n; j += kLanes) SolveTile(pivots, u.At(k, j));
    for (int64_t j = 0; j <= k; j += kLanes) SolveTile(pivots, m.At(k, j));
    // Products take up to kTileVectors tile columns at once, from the first row of the leftmost.
    for (int64_t v = 1; v < kTileVectors && k + v * kLanes < m.n; ++v) StoreZeros(m.At(k, k + v * kLanes));
  }
  return 0;
}

// inverse = m^T m, by tiles on and above the diagonal and their mirror images.
inline bool StoreInverse(Panels m, int64_t n, Panels products, float* inverse) {
  FiniteCheck check;
  ForEachTileColumn(0, m.n, [&](int64_t j, auto vectors) {
    for (int64_t i = 0; i < j + vectors() * kLanes; i += kTileRows) {
      Floats sum[kTileRows][vectors()];
      const LeftFactor a = PanelColumns(m.At(j, i / kLanes * kLanes), i % kLanes);
      MultiplyTile<vectors()>(m.n - j, a, m.At(j, j), m.Size(), sum);
      for (int r = 0; r < kTileRows; ++r)
        for (int v = 0; v < vectors(); ++v) Store(products.At(i + r, j + v * kLanes), sum[r][v], All{});
    }
    for (int64_t column = j; column < j + vectors() * kLanes; column += kLanes)
      for (int64_t i = 0; i <= column; i += kLanes) {
        Floats rows[kLanes];
        for (int r = 0; r < kLanes; ++r) check.Add(rows[r] = Load(products.At(i + r, column), All{}));
        StoreSymmetric(rows, i, column, n, n, inverse);
      }
  });
  return check.Passed();
}

inline int32_t InvertBlock(const float* c, float damping, int64_t n, float* inverse, float* scratch) {
  const Panels u = {scratch, RoundUp(n, kLanes)};
  const Panels m = {scratch + u.n * u.n, u.n};
  int32_t status = PackUpper(c, damping, n, u) ? 0 : THOR_NOT_FINITE;
  if (status == 0) status = FactorAndInvert(u, m);
  if (status == 0 && !StoreInverse(m, n, u, inverse)) status = THOR_NOT_FINITE;
  if (status != 0) ForEachVector(n * n, [&](int64_t i, auto lanes) { Store(inverse + i, Set(0), lanes); });
  return status;
}

}  // namespace

#endif  // THOR_CHOLESKY_INVERSE_BODY_H_
