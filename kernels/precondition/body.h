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

// Rows that are needed later, fetched one at a time between register tiles: so memory is asked as evenly as it answers.
struct RowsAhead {
  const float* row;
  int64_t stride, rows, columns;

  THOR_INLINE void Fetch() {
    if (rows-- <= 0) return;
    for (int64_t j = 0; j < columns; j += kLanes) PrefetchFar(row + j);
    row += stride;
  }
};

// target = left * right: left has whole register tiles of rows, right is in panels of `depth` rows. Never inlined:
// where its callers' variables share the registers the product takes 6 to 11 % longer.
__attribute__((noinline)) void Multiply(Matrix left, int64_t rows, int64_t depth, const float* right, int64_t columns,
                                        Matrix target, RowsAhead* ahead) {
  ForEachTileColumn(0, columns, [&](int64_t j, auto vectors) {
    for (int64_t i = 0; i < rows; i += kTileRows) {
      ahead->Fetch();
      Floats sum[kTileRows][vectors()];
      const LeftFactor a = {left.data + i * left.stride, left.stride, 1};
      Clear(sum);
      AddProduct<vectors()>(depth, a, right + j * depth, kLanes * depth, sum);
      StoreTile<vectors()>(sum, rows - i, columns - j, {target.data + i * target.stride + j, target.stride});
    }
  });
}

// Where a strip lies: in the block of outputs from row `block` on its rows [first, first + rows), and some columns.
struct Strip {
  int64_t block, depth, first, rows, column, columns;
};

inline Strip FindStrip(const thor::PreconditionArguments& a, int64_t task) {
  const int64_t column = task % a.InputBlocks() * a.InputEdge(), strip = task / a.InputBlocks();
  const int64_t block = strip / a.StripsPerBlock() * a.OutputEdge();
  const int64_t first = strip % a.StripsPerBlock() * a.kStripRows;
  const int64_t depth = Smaller(a.OutputEdge(), a.outputs - block);
  return {block, depth, first, Smaller(a.kStripRows, depth - first), column, Smaller(a.InputEdge(), a.inputs - column)};
}

// product = strip of G^-1 times its block of dW, in whole register tiles of rows.
inline void MultiplyLeft(const thor::PreconditionArguments& a, const Strip& s, float* scratch, Matrix product,
                         RowsAhead* ahead) {
  const float* const rows_of_block = a.gradient + s.block * a.inputs + s.column;
  if (a.g_block == 1) {
    CopyRows(rows_of_block, a.inputs, s.rows, s.columns, product);
    for (int64_t i = 0; i < s.rows; ++i) {
      const Floats factor = Set(a.g_inverse[s.block + i]);
      float* const row = product.data + i * product.stride;
      ForEachVector(s.columns, [=](int64_t j, auto lanes) { Store(row + j, factor * Load(row + j, lanes), lanes); });
    }
    return;
  }
  const Matrix g_strip = {scratch, a.StripStride()};
  float* const gradient = scratch + a.StripSize();
  CopyRows(a.g_inverse + (s.block + s.first) * a.g_block, a.g_block, s.rows, s.depth, g_strip);
  PackPanels(rows_of_block, a.inputs, s.depth, s.columns, gradient);
  Multiply(g_strip, RoundUp(s.rows, kTileRows), s.depth, gradient, RoundUp(s.columns, kLanes), product, ahead);
}

// out = product times the block of A^-1.
inline void MultiplyRight(const thor::PreconditionArguments& a, const Strip& s, float* scratch, Matrix product,
                          RowsAhead* ahead) {
  float* const out = a.out + (s.block + s.first) * a.inputs + s.column;
  if (a.a_block == 1) {
    for (int64_t i = 0; i < s.rows; ++i)
      ForEachVector(s.columns, [&](int64_t j, auto lanes) {
        const Floats factor = Load(a.a_inverse + s.column + j, lanes);
        Store(out + i * a.inputs + j, Load(product.data + i * product.stride + j, lanes) * factor, lanes);
      });
    return;
  }
  PackPanels(a.a_inverse + s.column * a.a_block, a.a_block, s.columns, s.columns, scratch);
  Multiply(product, s.rows, s.columns, scratch, s.columns, {out, a.inputs}, ahead);
}

// The strip of a task; meanwhile what the next one needs of dW is fetched.
inline void ComputeStrip(const thor::PreconditionArguments& a, int64_t task, int64_t next_task, float* scratch) {
  const Strip strip = FindStrip(a, task), next = FindStrip(a, next_task);
  RowsAhead ahead = {a.gradient + next.block * a.inputs + next.column, a.inputs, next.depth, next.columns};
  if (strip.rows <= 0) return;
  const Matrix product = {scratch + a.StripSize() + a.GradientSize(), a.Width() + a.kPadding};
  MultiplyLeft(a, strip, scratch, product, &ahead);
  MultiplyRight(a, strip, product.data + a.ProductSize(), product, &ahead);
}

inline void ComputeStrips(const thor::PreconditionArguments& a, int64_t begin, int64_t end, float* scratch) {
  for (int64_t task = begin; task < end; ++task) ComputeStrip(a, task, task + 1 < end ? task + 1 : task, scratch);
}

constexpr thor::PreconditionImplementation kImplementation = ComputeStrips;

}  // namespace

#endif  // THOR_PRECONDITION_BODY_H_
