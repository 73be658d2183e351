// linear over the sixteen lanes of common/lanes.h. Both factors of a product are packed into panels of common/tile.h:
// the left one once for all threads, the right one by the task that needs its columns. A chunk of the right factor and
// the partial sums of a block of rows stay in the L2 cache while the left panels pass by.
#ifndef THOR_LINEAR_BODY_H_
#define THOR_LINEAR_BODY_H_

#include "common/tile.h"
#include "linear/implementation.h"

namespace {

// How elements enter panels: one in a row of a panel; kRound: float32 is rounded to bfloat16 first.
template <bool kRound>
struct Widened {
  using Product = MultiplyAddF32;
  static constexpr int64_t kElements = 1;

  // Consecutive elements of the depth.
  template <typename T, class Lanes>
  static Floats Along(const T* source, Lanes lanes) {
    return Rounded(source, Load(source, lanes));
  }
  // One row of a panel: the elements of kElements rows of a transposed factor; `rows` are left.
  template <typename T, class Lanes>
  static Floats Across(const T* source, int64_t, int64_t, Lanes lanes) {
    return Rounded(source, Load(source, lanes));
  }

 private:
  static Floats Rounded(const uint16_t*, Floats x) { return x; }
  static Floats Rounded(const float*, Floats x) {
    if (!kRound) return x;
    uint16_t bits[kLanes];
    Store(bits, x, All{});
    return Load(bits, All{});
  }
};

// Sixteen rows of a panel from as many columns, whose depth is contiguous. `count` elements are left in each.
template <class Unit, typename T, class Lanes>
THOR_INLINE void PackSquare(const T* source, int64_t stride, int64_t columns, Lanes lanes, int64_t rows,
                            float* target) {
  Floats square[kLanes];
  for (int64_t j = 0; j < kLanes; ++j) square[j] = j < columns ? Unit::Along(source + j * stride, lanes) : Set(0);
  Transpose(square);
  for (int64_t k = 0; k < rows; ++k) Store(target + k * kLanes, square[k], All{});
}

// A panel of `columns` columns and `depth` elements of a factor that is not transposed.
template <class Unit, typename T>
void PackAlong(const T* source, int64_t stride, int64_t columns, int64_t depth, float* panel) {
  constexpr int64_t kStep = kLanes * Unit::kElements;
  int64_t k = 0;
  for (; k + kStep <= depth; k += kStep, panel += kLanes * kLanes)
    PackSquare<Unit>(source + k, stride, columns, All{}, kLanes, panel);
  if (k == depth) return;
  const int64_t rows = (depth - k + Unit::kElements - 1) / Unit::kElements;
  PackSquare<Unit>(source + k, stride, columns, First{static_cast<int>(depth - k)}, rows, panel);
}

// Panels of `columns` columns and `depth` elements of a transposed factor.
template <class Unit, typename T>
void PackAcross(const T* source, int64_t stride, int64_t columns, int64_t depth, float* panels) {
  const int64_t rows = (depth + Unit::kElements - 1) / Unit::kElements;
  for (int64_t k = 0; k < rows; ++k)
    ForEachVector(columns, [=](int64_t j, auto lanes) {
      const T* const row = source + k * Unit::kElements * stride + j;
      Store(panels + j * rows + k * kLanes, Unit::Across(row, stride, depth - k * Unit::kElements, lanes), All{});
    });
}

// Columns [first, first + columns) and elements [begin, begin + depth) of a factor.
template <class Unit, typename T>
void Pack(const thor::LinearFactor<T>& factor, int64_t first, int64_t columns, int64_t begin, int64_t depth,
          float* panels) {
  if (factor.transposed)
    return PackAcross<Unit>(factor.data + begin * factor.stride + first, factor.stride, columns, depth, panels);
  const int64_t rows = (depth + Unit::kElements - 1) / Unit::kElements;
  for (int64_t j = 0; j < columns; j += kLanes)
    PackAlong<Unit>(factor.data + (first + j) * factor.stride + begin, factor.stride, Smaller(kLanes, columns - j),
                    depth, panels + j * rows);
}

// A chunk of the depth: its elements, and where it lies in the packed left factor.
struct Chunk {
  int64_t begin, depth, rows;
  float* packed;
  bool first, last;
};

template <class Unit, class Product>
Chunk FindChunk(const Product& p, int64_t index) {
  const int64_t begin = index * p.Chunk(), depth = Smaller(p.Chunk(), p.depth - begin);
  float* const packed = p.packed + p.Panels() * kLanes * (begin / Unit::kElements);
  return {begin, depth, (depth + Unit::kElements - 1) / Unit::kElements, packed, index == 0, index == p.Chunks() - 1};
}

template <class Unit, class Product>
void PackLeft(const Product& p, int64_t begin, int64_t end) {
  for (int64_t task = begin; task < end; ++task) {
    const int64_t first = task * p.kPackPanels * kLanes, columns = Smaller(p.kPackPanels * kLanes, p.rows - first);
    for (int64_t index = 0; index < p.Chunks(); ++index) {
      const Chunk chunk = FindChunk<Unit>(p, index);
      Pack<Unit>(p.left, first, columns, chunk.begin, chunk.depth, chunk.packed + first * chunk.rows);
    }
  }
}

// In the next three the loops have to be unrolled: an index known at run time would move the sums out of registers.
// The part of a register tile that lies within `rows` x `columns`.
template <int kVectors, typename Out>
THOR_INLINE void StoreTile(const Floats (&sum)[kTileRows][kVectors], int64_t rows, int64_t columns, int64_t stride,
                           Out* out) {
#pragma GCC unroll 16
  for (int r = 0; r < kTileRows; ++r) {
    if (r >= rows) return;
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      Out* const to = out + r * stride + v * kLanes;
      if (columns >= (v + 1) * kLanes)
        Store(to, sum[r][v], All{});
      else
        Store(to, sum[r][v], First{static_cast<int>(columns - v * kLanes)});
    }
  }
}

template <int kVectors>
THOR_INLINE void AddPartial(const float* partial, Floats (&sum)[kTileRows][kVectors]) {
#pragma GCC unroll 16
  for (int r = 0; r < kTileRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sum[r][v] = Load(partial + (r * kVectors + v) * kLanes, All{}) + sum[r][v];
}

template <int kVectors>
THOR_INLINE void StorePartial(const Floats (&sum)[kTileRows][kVectors], float* partial) {
#pragma GCC unroll 16
  for (int r = 0; r < kTileRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) Store(partial + (r * kVectors + v) * kLanes, sum[r][v], All{});
}

// Some rows and columns of out.
struct Block {
  int64_t row, rows, column, columns;
};

constexpr int kAhead = 16;  // rows of a panel: as many rows' work hides the way from L2

// sum = sum over `rows` rows of two panels, in stretches that are added up: the rounding error of a float32 sum grows
// with the length of its chain, and BLAS libraries have chains of about this length.
template <class Unit, int kVectors>
THOR_INLINE void MultiplyPanels(int64_t rows, const LeftFactor& left, const float* right,
                                Floats (&sum)[kTileRows][kVectors]) {
  constexpr int64_t kStretch = thor::LinearProduct<float, float, float>::kStretch;
  float before[kTileRows * kVectors * kLanes];
  for (int64_t k = 0; k < rows; k += kStretch) {
    if (k > 0) StorePartial(sum, before);
    Clear(sum);
    AddProduct<kVectors, typename Unit::Product, kAhead>(Smaller(kStretch, rows - k),
                                                         {left.data + k * left.depth, left.row, left.depth},
                                                         right + k * kLanes, kLanes * rows, sum);
    if (k > 0) AddPartial(before, sum);
  }
}

// What one chunk adds to a block. The partial sums lie tile after tile, in the order in which they are visited.
template <class Unit, class Product>
void MultiplyChunk(const Product& p, const Block& block, const Chunk& chunk, const float* right, float* partial) {
  for (int64_t i = 0; i < block.rows; i += kTileRows)
    ForEachTileColumn(0, block.columns, [&](int64_t j, auto vectors) {
      Floats sum[kTileRows][vectors()];
      const int64_t row = block.row + i;
      const LeftFactor left = PanelColumns(chunk.packed + row / kLanes * kLanes * chunk.rows, row % kLanes);
      MultiplyPanels<Unit>(chunk.rows, left, right + j * chunk.rows, sum);
      if (!chunk.first) AddPartial(partial, sum);
      if (chunk.last)
        StoreTile(sum, block.rows - i, block.columns - j, p.columns, p.out + row * p.columns + block.column + j);
      else
        StorePartial(sum, partial);
      partial += kTileRows * vectors() * kLanes;
    });
}

// All chunks of a block, one after the other. A task's first block packs the right factor as it goes.
template <class Unit, class Product>
void MultiplyBlock(const Product& p, const Block& block, bool pack, float* scratch) {
  for (int64_t index = 0; index < p.Chunks(); ++index) {
    const Chunk chunk = FindChunk<Unit>(p, index);
    float* const right = scratch + (p.KeepsRight() ? index * p.RightChunk() : 0);
    if (pack) Pack<Unit>(p.right, block.column, block.columns, chunk.begin, chunk.depth, right);
    MultiplyChunk<Unit>(p, block, chunk, right, scratch + p.RightSize());
  }
}

template <class Unit, class Product>
void Multiply(const Product& p, int64_t begin, int64_t end, float* scratch) {
  for (int64_t task = begin; task < end; ++task) {
    const int64_t first = task % p.RowTasks() * p.height, column = task / p.RowTasks() * p.width;
    const int64_t last = Smaller(first + p.height, p.rows), columns = Smaller(p.width, p.columns - column);
    for (int64_t row = first; row < last; row += p.kBlockRows)
      MultiplyBlock<Unit>(p, {row, Smaller(p.kBlockRows, last - row), column, columns}, row == first, scratch);
  }
}

template <class Unit, typename Left, typename Right, typename Out>
constexpr thor::LinearFunctions<Left, Right, Out> kFunctions = {PackLeft<Unit, thor::LinearProduct<Left, Right, Out>>,
                                                                Multiply<Unit, thor::LinearProduct<Left, Right, Out>>};

template <class Unit>
constexpr thor::LinearImplementation kWith = {kFunctions<Widened<false>, float, float, float>,
                                              kFunctions<Unit, uint16_t, float, uint16_t>,
                                              kFunctions<Unit, uint16_t, uint16_t, float>, Unit::kElements};

constexpr thor::LinearImplementation kImplementation = kWith<Widened<true>>;

}  // namespace

#endif  // THOR_LINEAR_BODY_H_
