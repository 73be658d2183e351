// precondition over the sixteen lanes of common/lanes.h: each strip of G^-1 is multiplied with its block of dW, and the
// product, still in cache, with the block of A^-1.
#ifndef THOR_PRECONDITION_BODY_H_
#define THOR_PRECONDITION_BODY_H_

#include "common/tile.h"
#include "precondition/implementation.h"

namespace {

// A row-major matrix; columns may be followed by padding.
struct Matrix {
  float* data;
  int64_t stride;
};

// `rows` rows of `source` and, up to a whole number of register tiles, rows of zeros.
inline void CopyRows(const float* source, int64_t source_stride, int64_t rows, int64_t columns, Matrix target) {
  for (int64_t i = 0; i < RoundUp(rows, kTileRows); ++i)
    ForEachVector(columns, [&](int64_t j, auto lanes) {
      Store(target.data + i * target.stride + j, i < rows ? Load(source + i * source_stride + j, lanes) : Set(0),
            lanes);
    });
}

// Calls store(row, column, lanes) for the part of a register tile that lies within `rows` x `columns`.
template <int kVectors>
THOR_INLINE void StoreTile(const Floats (&sum)[kTileRows][kVectors], int64_t rows, int64_t columns, Matrix target) {
  for (int r = 0; r < kTileRows; ++r) {
    if (r >= rows) return;
    for (int v = 0; v < kVectors; ++v) {
      float* const to = target.data + r * target.stride + v * kLanes;
      if (columns >= (v + 1) * kLanes)
        Store(to, sum[r][v], All{});
      else
        Store(to, sum[r][v], First{static_cast<int>(columns - v * kLanes)});
    }
  }
}

// target = left * right: left has whole register tiles of rows, right is in panels of `depth` rows.
inline void Multiply(Matrix left, int64_t rows, int64_t depth, const float* right, int64_t columns, Matrix target) {
  ForEachTileColumn(0, columns, [&](int64_t j, auto vectors) {
    for (int64_t i = 0; i < rows; i += kTileRows) {
      Floats sum[kTileRows][vectors()];
      const LeftFactor a = {left.data + i * left.stride, left.stride, 1};
      Clear(sum);
      AddProduct<vectors()>(depth, a, right + j * depth, kLanes * depth, sum);
      StoreTile<vectors()>(sum, rows - i, columns - j, {target.data + i * target.stride + j, target.stride});
    }
  });
}

inline void ComputeStrip(const thor::PreconditionArguments& a, int64_t task, float* scratch) {
  const int64_t column = task % a.InputBlocks() * a.a_block, strip = task / a.InputBlocks();
  const int64_t block = strip / a.StripsPerBlock();
  const int64_t first = strip % a.StripsPerBlock() * a.kStripRows;  // in the block
  const int64_t depth = Smaller(a.g_block, a.outputs - block * a.g_block);
  const int64_t rows = Smaller(a.kStripRows, depth - first), columns = Smaller(a.a_block, a.inputs - column);
  if (rows <= 0) return;

  const Matrix g_strip = {scratch, a.StripStride()};
  float* const gradient = scratch + a.StripSize();
  const Matrix product = {gradient + a.GradientSize(), a.Width() + a.kPadding};
  float* const a_inverse = product.data + a.ProductSize();

  CopyRows(a.g_inverse + (block * a.g_block + first) * a.g_block, a.g_block, rows, depth, g_strip);
  PackPanels(a.gradient + block * a.g_block * a.inputs + column, a.inputs, depth, columns, gradient);
  PackPanels(a.a_inverse + column * a.a_block, a.a_block, columns, columns, a_inverse);
  const int64_t whole_rows = RoundUp(rows, kTileRows);
  Multiply(g_strip, whole_rows, depth, gradient, RoundUp(columns, kLanes), product);
  Multiply(product, rows, columns, a_inverse, columns,
           {a.out + (block * a.g_block + first) * a.inputs + column, a.inputs});
}

inline void ComputeStrips(const thor::PreconditionArguments& a, int64_t begin, int64_t end, float* scratch) {
  for (int64_t task = begin; task < end; ++task) ComputeStrip(a, task, scratch);
}

}  // namespace

#endif  // THOR_PRECONDITION_BODY_H_
