// fisher_covariance over the sixteen lanes of common/lanes.h: for each tile, pack some rows of x into panels, multiply
// the panels into sums that stay in the L2 cache, repeat; then scale, and store the tile and its mirror image.
#ifndef THOR_FISHER_COVARIANCE_BODY_H_
#define THOR_FISHER_COVARIANCE_BODY_H_

#include "common/tile.h"
#include "fisher_covariance/implementation.h"

namespace {

template <typename T>
using Arguments = thor::FisherCovarianceArguments<T>;

// How x enters the product: kRows rows of x make one row of a panel. Pack takes `rows` of the rows that are summed,
// from number `first` on, and `columns` of their columns, from `column` on.
template <typename T>
struct Widened {
  using Element = T;
  using Product = MultiplyAddF32;
  using InFloat32 = Widened;
  static constexpr int64_t kRows = 1;
  static void Pack(const Arguments<T>& a, int64_t first, int64_t rows, int64_t column, int64_t columns, float* panels) {
    PackPanels(a.x + first * a.features + column, a.features, rows, columns, panels);
  }
};

// As Widened, each row times the root of its weight: a square of it then has the weight itself.
template <typename T>
struct Weighted {
  using Element = T;
  using Product = MultiplyAddF32;
  using InFloat32 = Weighted;
  static constexpr int64_t kRows = 1;
  static void Pack(const Arguments<T>& a, int64_t first, int64_t rows, int64_t column, int64_t columns, float* panels) {
    for (int64_t k = 0; k < rows; ++k) {
      const T* const source = a.x + a.weighted.places[first + k] * a.features + column;
      const Floats root = Set(a.weighted.roots[first + k]);
      ForEachVector(columns, [=](int64_t j, auto lanes) {
        Store(panels + j * rows + k * kLanes, Load(source + j, lanes) * root, All{});
      });
    }
  }
};

// As Input, which is in fp32, of x 2^-96, whose sums of products no x and no number of rows takes out of float's range.
template <class Input>
struct Shrunk : Input {
  static constexpr float kFactor = 0x1p-96f;
  static void Pack(const Arguments<typename Input::Element>& a, int64_t first, int64_t rows, int64_t column,
                   int64_t columns, float* panels) {
    Input::Pack(a, first, rows, column, columns, panels);
    for (int64_t i = 0; i < rows * RoundUp(columns, kLanes); i += kLanes)
      Store(panels + i, Load(panels + i, All{}) * Set(kFactor), All{});
  }
};

// Part of one block of out: its place in the block, and its size as far as x has features for it.
struct Tile {
  int64_t row, column, height, width;
  bool Diagonal() const { return row == column; }
};

constexpr int64_t kStride = Arguments<float>::kMaxEdge;  // of a row of sums

// sums(i..., j...) += left^T right for kRows rows and kVectors tile columns.
template <class Input, int kRows, int kVectors>
THOR_INLINE void MultiplyRows(int64_t i, int64_t j, int64_t depth, const float* left, const float* right, bool first,
                              float* sums) {
  Floats sum[kRows][kVectors];
  Clear(sum);
  const LeftFactor a = PanelColumns(left + i / kLanes * kLanes * depth, i % kLanes);
  AddProduct<kVectors, typename Input::Product>(depth, a, right + j * depth, kLanes * depth, sum);
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < kVectors; ++v) {
      float* const target = sums + (i + r) * kStride + j + v * kLanes;
      Store(target, first ? sum[r][v] : Load(target, All{}) + sum[r][v], All{});
    }
}

constexpr int kSquareRows = kTileRows * kTileVectors;  // as many sums in one column of vectors

// sums += left^T right; a diagonal tile leaves out what lies above its diagonal. fetch() is called along the way.
template <class Input, typename Fetch>
void MultiplyPanels(const Tile& tile, int64_t depth, const float* left, const float* right, bool first, float* sums,
                    Fetch fetch) {
  ForEachTileColumn(0, tile.width, [&](int64_t j, auto vectors) {
    int64_t i = 0;
    if (tile.Diagonal())
      for (i = j; i < j + kLanes; i += kSquareRows)
        MultiplyRows<Input, kSquareRows, 1>(i, j, depth, left, right, first, sums);
    for (; i < tile.height; i += kTileRows) {
      fetch();
      MultiplyRows<Input, kTileRows, vectors()>(i, j, depth, left, right, first, sums);
    }
  });
}

inline void StoreTile(const Tile& tile, int64_t rows_of_x, int64_t features, int64_t block, const float* sums,
                      float* out) {
  const Floats scale = Set(static_cast<float>(1.0 / static_cast<double>(rows_of_x)));
  for (int64_t i = 0; i < tile.height; i += kLanes)
    for (int64_t j = 0; j < (tile.Diagonal() ? i + 1 : tile.width); j += kLanes) {
      Floats rows[kLanes];
      for (int r = 0; r < kLanes; ++r) rows[r] = Load(sums + (i + r) * kStride + j, All{}) * scale;
      StoreSymmetric(rows, tile.row + i, tile.column + j, features, block, out);
    }
}

// Zeros to the rows and columns of a block for which x has no feature.
inline void StorePadding(int64_t features, int64_t block, float* out) {
  for (int64_t i = 0; i < block; ++i)
    for (int64_t j = i < features ? features : 0; j < block; ++j) out[i * block + j] = 0.0f;
}

// Asks for some columns of row `number` of those that are summed.
template <typename T>
THOR_INLINE void FetchRow(const Arguments<T>& a, int64_t number, int64_t column, int64_t columns) {
  const int64_t row = a.weighted.places == nullptr ? number : a.weighted.places[number];
  const T* const source = a.x + row * a.features + column;
  constexpr int64_t kLine = 64 / sizeof(T);
  for (int64_t j = 0; j < columns; j += kLine) PrefetchFar(source + j);
}

constexpr int64_t kRowsFetched = 4;  // before each product of register tiles; then packing finds its rows in the cache

// sums = x^T x of the tile.
template <class Input>
void SumTile(const Arguments<typename Input::Element>& a, int64_t q, const Tile& tile, float* sums) {
  float* const left = sums + a.kMaxEdge * a.kMaxEdge;
  float* const right = tile.Diagonal() ? left : left + a.kMaxEdge * a.kDepth;
  constexpr int64_t kRows = a.kDepth * Input::kRows;
  for (int64_t k = 0; k < a.summed; k += kRows) {
    const int64_t rows = Smaller(kRows, a.summed - k);
    Input::Pack(a, k, rows, q * a.block + tile.row, tile.height, left);
    if (right != left) Input::Pack(a, k, rows, q * a.block + tile.column, tile.width, right);
    int64_t next = k + rows;
    const int64_t end = Smaller(next + kRows, a.summed);
    const auto fetch = [&] {
      for (int64_t last = Smaller(end, next + kRowsFetched); next < last; ++next) {
        FetchRow(a, next, q * a.block + tile.row, tile.height);
        if (right != left) FetchRow(a, next, q * a.block + tile.column, tile.width);
      }
    };
    MultiplyPanels<Input>(tile, (rows + Input::kRows - 1) / Input::kRows, left, right, k == 0, sums, fetch);
  }
}

// Whether the tile of out is finite.
inline bool IsFinite(const Tile& tile, int64_t block, const float* out) {
  const Floats zero = Set(0);
  for (int64_t i = tile.row; i < tile.row + tile.height; ++i) {
    const float* const row = out + i * block + tile.column;
    if (SumOverVectors(tile.width, [=](int64_t j, auto lanes) { return zero * Load(row + j, lanes); }) != 0)
      return false;
  }
  return true;
}

// The elements that are not finite from sums of the shrunk x.
inline void ReplaceElements(const Tile& tile, int64_t rows_of_x, int64_t block, const float* sums, float factor,
                            float* out) {
  const auto scale = static_cast<float>(1.0 / (static_cast<double>(factor) * static_cast<double>(rows_of_x)));
  for (int64_t i = 0; i < tile.height; ++i)
    for (int64_t j = 0; j < (tile.Diagonal() ? i + 1 : tile.width); ++j) {
      float* const below = out + (tile.row + i) * block + tile.column + j;
      if (*below - *below == 0) continue;
      *below = sums[i * kStride + j] * scale * (1 / factor);
      out[(tile.column + j) * block + tile.row + i] = *below;
    }
}

template <class Input>
void ComputeTile(const Arguments<typename Input::Element>& a, int64_t q, Tile tile, float* scratch) {
  float* const out = a.out + q * a.block * a.block;
  const int64_t features = Smaller(a.block, a.features - q * a.block);
  if (tile.row == 0) StorePadding(features, a.block, out);
  tile.height = Smaller(a.edge, features - tile.row);
  tile.width = Smaller(a.edge, features - tile.column);
  if (tile.height <= 0) return;
  SumTile<Input>(a, q, tile, scratch);
  StoreTile(tile, a.rows, features, a.block, scratch, out);
  if (IsFinite(tile, a.block, out)) return;
  using Again = Shrunk<typename Input::InFloat32>;
  SumTile<Again>(a, q, tile, scratch);
  ReplaceElements(tile, a.rows, a.block, scratch, Again::kFactor, out);
}

template <class Input>
void ComputeTiles(const Arguments<typename Input::Element>& a, int64_t begin, int64_t end, float* scratch) {
  int64_t q = begin / a.Units(), unit = q * a.Units();
  for (; unit < end; ++q)
    for (int64_t i = 0; i < a.tiles; ++i)
      for (int64_t j = 0; j <= i; unit += i == j ? 1 : 2, ++j)
        if (begin <= unit && unit < end) ComputeTile<Input>(a, q, {i * a.edge, j * a.edge, 0, 0}, scratch);
}

constexpr thor::FisherCovarianceImplementation kImplementation = {
    ComputeTiles<Widened<float>>, ComputeTiles<Widened<uint16_t>>, ComputeTiles<Weighted<float>>,
    ComputeTiles<Weighted<uint16_t>>};

}  // namespace

#endif  // THOR_FISHER_COVARIANCE_BODY_H_
