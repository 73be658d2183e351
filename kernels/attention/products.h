// Small matrix products of one attention head, for the files of one instruction set. L = padded length.
//
// A matrix [length, head size] is held in panels of 16 columns (panel j: L rows of 16), its transpose in panels of 16
// rows (panel i: head size rows of 16); rows beyond the length are zero.
#ifndef THOR_ATTENTION_PRODUCTS_H_
#define THOR_ATTENTION_PRODUCTS_H_

#include "attention/implementation.h"
#include "common/tile.h"

namespace {

// (source + bias) * scale in panels. bias may be null.
template <typename T>
void PackHead(const thor::AttentionShape& n, const T* source, int64_t stride, const float* bias, float scale,
              float* panels) {
  ForEachVector(n.head_size, [&](int64_t j, auto lanes) {
    const Floats shift = bias == nullptr ? Set(0) : Load(bias + j, lanes);
    float* const panel = panels + j * n.padded_length;
    for (int64_t s = 0; s < n.length; ++s)
      Store(panel + s * kLanes, (Load(source + s * stride + j, lanes) + shift) * Set(scale), All{});
    for (int64_t s = n.length; s < n.padded_length; ++s) Store(panel + s * kLanes, Set(0), All{});
  });
}

// The transpose of what PackHead makes with scale 1.
template <typename T>
void PackTransposed(const thor::AttentionShape& n, const T* source, int64_t stride, const float* bias, float* panels) {
  for (int64_t s = 0; s < n.length; s += kLanes)
    ForEachVector(n.head_size, [&](int64_t j, auto lanes) {
      const Floats shift = Load(bias + j, lanes);
      const int64_t height = Smaller(kLanes, n.length - s), width = Smaller(kLanes, n.head_size - j);
      Floats tile[kLanes];
      for (int64_t r = 0; r < kLanes; ++r)
        tile[r] = r < height ? Load(source + (s + r) * stride + j, lanes) + shift : Set(0);
      Transpose(tile);
      for (int64_t c = 0; c < width; ++c) Store(panels + s * n.head_size + (j + c) * kLanes, tile[c], All{});
    });
}

// scores[i, :] = row first + i of `left` times `transposed`, i < rows; scores has L columns.
inline void MultiplyTransposed(const thor::AttentionShape& n, const float* left, int64_t first, int64_t rows,
                               const float* transposed, float* scores) {
  const int64_t d = n.head_size;
  for (int64_t i = 0; i < rows; i += kTileRows)
    ForEachTileColumn(0, n.padded_length, [&](int64_t j, auto vectors) {
      constexpr int kVectors = decltype(vectors)::value;
      Floats sum[kTileRows][kVectors];
      Clear(sum);
      for (int64_t k = 0; k < d; k += kLanes)
        AddProduct<kVectors>(Smaller(kLanes, d - k), {left + k * n.padded_length + (first + i) * kLanes, kLanes, 1},
                             transposed + j * d + k * kLanes, kLanes * d, sum);
      for (int r = 0; r < kTileRows; ++r)
        for (int v = 0; v < kVectors; ++v) Store(scores + (i + r) * n.padded_length + j + v * kLanes, sum[r][v], All{});
    });
}

// finish(i, j, sum) for every row i < rows and panel column j of the product of `left` with the first `depth` rows of
// `right`, a matrix in panels of `height` rows.
template <class Product = MultiplyAddF32, typename Finish>
THOR_INLINE void MultiplyPanels(const thor::AttentionShape& n, LeftFactor left, int64_t rows, int64_t depth,
                                const float* right, int64_t height, Finish finish) {
  for (int64_t i = 0; i < rows; i += kTileRows)
    ForEachTileColumn(0, n.head_size, [&](int64_t j, auto vectors) {
      constexpr int kVectors = decltype(vectors)::value;
      Floats sum[kTileRows][kVectors];
      Clear(sum);
      AddProduct<kVectors, Product>(depth, {left.data + i * left.row, left.row, left.depth}, right + j * height,
                                    kLanes * height, sum);
      const int64_t height = Smaller(kTileRows, rows - i);
      for (int64_t r = 0; r < height; ++r)
        for (int v = 0; v < kVectors; ++v) finish(i + r, j + v * kLanes, sum[r][v]);
    });
}

// Panel column j of a row of a matrix with head_size columns.
template <typename T>
THOR_INLINE void StoreColumns(const thor::AttentionShape& n, T* row, int64_t j, Floats value) {
  Store(row + j, value, First{static_cast<int>(Smaller(kLanes, n.head_size - j))});
}

// panels += left times the first `depth` rows of right, whose panels have `height` rows.
template <class Product = MultiplyAddF32>
void Accumulate(const thor::AttentionShape& n, LeftFactor left, int64_t depth, const float* right, int64_t height,
                float* panels) {
  MultiplyPanels<Product>(n, left, n.length, depth, right, height, [&](int64_t i, int64_t j, Floats sum) {
    float* const p = panels + j * n.padded_length + i * kLanes;
    Store(p, Load(p, All{}) + sum, All{});
  });
}

// A head's columns of dqkv and of their sums.
template <typename T>
void StorePanels(const thor::AttentionShape& n, const float* panels, T* rows, float* column_sums) {
  ForEachVector(n.head_size, [&](int64_t j, auto lanes) {
    Floats sum = Set(0);
    for (int64_t s = 0; s < n.length; ++s) {
      const Floats value = Load(panels + j * n.padded_length + s * kLanes, All{});
      Store(rows + s * 3 * n.hidden + j, value, lanes);
      sum = sum + value;
    }
    Store(column_sums + j, sum, lanes);
  });
}

}  // namespace

#endif  // THOR_ATTENTION_PRODUCTS_H_
