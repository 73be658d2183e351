// What the matrix kernels share: products of panels in register tiles, and symmetric stores. Written once over the
// sixteen lanes of common/lanes.h; the differences between instruction sets are in tile_avx512.h and its siblings.
//
// A panel holds kLanes columns of a matrix, row after row: element (k, j) is panel[k * kLanes + j]. Panels lie in
// scratch memory, so the inner loop streams whole cache lines whatever the caller's strides and pointers are.
#ifndef THOR_COMMON_TILE_H_
#define THOR_COMMON_TILE_H_

#include <cstdint>
#include <type_traits>

#include "common/lanes.h"

#if defined(__AVX512F__)
#include "common/tile_avx512.h"
#elif defined(__AVX2__)
#include "common/tile_avx2.h"
#else
#include "common/tile_portable.h"
#endif

namespace {

inline int64_t Smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t Larger(int64_t a, int64_t b) { return a > b ? a : b; }
inline int64_t RoundUp(int64_t a, int64_t multiple) { return (a + multiple - 1) / multiple * multiple; }

struct MultiplyAddF32 {
  static Floats Apply(Floats a, Floats b, Floats sum) { return MultiplyAdd(a, b, sum); }
};

// The left factor of a product: element (i, k) is data[i * row + k * depth].
struct LeftFactor {
  const float* data;
  int64_t row, depth;
};

// Rows of a panel: left factor a^T, as in a^T b.
inline LeftFactor PanelColumns(const float* panel, int64_t first) { return {panel + first, 1, kLanes}; }

template <int kRows, int kVectors>
THOR_INLINE void Clear(Floats (&sum)[kRows][kVectors]) {
  for (int i = 0; i < kRows; ++i)
    for (int v = 0; v < kVectors; ++v) sum[i][v] = Set(0);
}

// sum[i][v] += sum over k < depth of a(i, k) * b_v(k, :) for v < kUsed, b_v being the panel at b + v * panel. Panels
// that come from the L2 cache are asked for kAhead rows before they are used, a being one of them; 0: they are in L1.
template <int kUsed, class Product = MultiplyAddF32, int kAhead = 0, int kRows, int kVectors>
THOR_INLINE void AddProduct(int64_t depth, LeftFactor a, const float* b, int64_t panel,
                            Floats (&sum)[kRows][kVectors]) {
  for (int64_t k = 0; k < depth; ++k) {
    if constexpr (kAhead > 0) {
      Prefetch(a.data + (k + kAhead) * a.depth);
      for (int v = 0; v < kUsed; ++v) Prefetch(b + (k + kAhead) * kLanes + v * panel);
    }
    Floats right[kUsed];
    for (int v = 0; v < kUsed; ++v) right[v] = Load(b + k * kLanes + v * panel, All{});
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const Floats left = Set(a.data[i * a.row + k * a.depth]);
#pragma GCC unroll 4
      for (int v = 0; v < kUsed; ++v) sum[i][v] = Product::Apply(left, right[v], sum[i][v]);
    }
  }
}

// Calls step(column, vectors) for every kLanes columns of [begin, end), kTileVectors at a time where there are as many;
// vectors is a constant expression.
template <typename Step>
THOR_INLINE void ForEachTileColumn(int64_t begin, int64_t end, Step step) {
  int64_t j = begin;
  for (; j + (kTileVectors - 1) * kLanes < end; j += kTileVectors * kLanes)
    step(j, std::integral_constant<int, kTileVectors>{});
  for (; j < end; j += kLanes) step(j, std::integral_constant<int, 1>{});
}

// Columns [0, columns) of `rows` rows go into panels; the last panel is filled up with zero columns. Row by row, as the
// source lies in memory: the processor's prefetchers follow a row, not a column.
template <typename T>
void PackPanels(const T* source, int64_t stride, int64_t rows, int64_t columns, float* panels) {
  for (int64_t k = 0; k < rows; ++k)
    ForEachVector(columns, [=](int64_t j, auto lanes) {
      Store(panels + j * rows + k * kLanes, Load(source + k * stride + j, lanes), All{});
    });
}

// The leading height x width part of a square tile.
inline void StoreRows(const Floats (&rows)[kLanes], int64_t height, int64_t width, int64_t stride, float* target) {
  if (height == kLanes && width == kLanes)
    for (int r = 0; r < kLanes; ++r) Store(target + r * stride, rows[r], All{});
  else
    for (int r = 0; r < height; ++r) Store(target + r * stride, rows[r], First{static_cast<int>(width)});
}

// The tile `rows`, whose corner is (i, j), and its mirror image go into a symmetric matrix of n valid rows and columns.
inline void StoreSymmetric(Floats (&rows)[kLanes], int64_t i, int64_t j, int64_t n, int64_t stride, float* matrix) {
  StoreRows(rows, Smaller(kLanes, n - i), Smaller(kLanes, n - j), stride, matrix + i * stride + j);
  if (i == j) return;
  Transpose(rows);
  StoreRows(rows, Smaller(kLanes, n - j), Smaller(kLanes, n - i), stride, matrix + j * stride + i);
}

}  // namespace

#endif  // THOR_COMMON_TILE_H_
