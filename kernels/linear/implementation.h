// What linear.cc asks of body.h: one product, cut into tasks, for checked arguments.
#ifndef THOR_LINEAR_IMPLEMENTATION_H_
#define THOR_LINEAR_IMPLEMENTATION_H_

#include <cstdint>

#include "common/dispatch.h"

namespace thor {

// A factor of a product: element (i, k) is data[i * stride + k], or data[k * stride + i] where it is `transposed`.
template <typename T>
struct LinearFactor {
  const T* data;
  int64_t stride;
  bool transposed;
};

// out[i, j] = sum over k < depth of left(i, k) * right(j, k), in chunks of the depth. A task is a block of `height`
// rows and `width` columns.
template <typename Left, typename Right, typename Out>
struct LinearProduct {
  static constexpr int64_t kLanes = 16;

  LinearFactor<Left> left;
  LinearFactor<Right> right;
  int64_t rows, columns, depth;
  Out* out;                                 // [rows, columns]
  int64_t elements;                         // of the depth in one row of a panel
  int64_t height = kLanes, width = kLanes;  // multiples of kLanes
  float* packed = nullptr;                  // the left factor in panels, chunk after chunk

  static constexpr int64_t kPanelRows = 768;  // at most, of a chunk: kWidth columns of it take 3/4 of a 1 MiB L2
  static constexpr int64_t kStretch = 384;    // rows of a panel that are summed in one chain
  static constexpr int64_t kWidth = 256;      // at most, of a task
  static constexpr int64_t kBlockRows = 512;  // of a block: its partial sums take half of it
  static constexpr int64_t kPackPanels = 4;   // of the left factor, packed by one task

  bool Empty() const { return rows == 0 || columns == 0 || depth == 0; }
  static int64_t Ceil(int64_t x, int64_t y) { return (x + y - 1) / y; }
  // Chunks of equal length, as far as a whole number of rows of a panel goes.
  int64_t Chunk() const { return Ceil(Ceil(depth, Ceil(depth, kPanelRows * elements)), elements) * elements; }
  int64_t Chunks() const { return Ceil(depth, Chunk()); }
  int64_t Panels() const { return Ceil(rows, kLanes); }
  int64_t RowTasks() const { return Ceil(rows, height); }
  int64_t Tasks() const { return Ceil(columns, width) * RowTasks(); }
  int64_t PackTasks() const { return Ceil(Panels(), kPackPanels); }
  // In floats. The packed left factor.
  int64_t PackedSize() const { return Panels() * kLanes * Chunks() * (Chunk() / elements); }
  // A chunk of a task's columns of the right factor; chunks are kept where more than one block of rows needs them.
  int64_t RightChunk() const { return width * (Chunk() / elements); }
  bool KeepsRight() const { return height > kBlockRows; }
  int64_t RightSize() const { return (KeepsRight() ? Chunks() : 1) * RightChunk(); }
  // What a worker needs: that, and the partial sums of a block.
  int64_t ScratchSize() const { return RightSize() + (Chunks() > 1 ? kBlockRows * width : 0); }
};

template <typename Left, typename Right, typename Out>
struct LinearFunctions {
  using Product = LinearProduct<Left, Right, Out>;
  // Packs the left factor's panels of tasks [begin, end) of PackTasks().
  void (*pack)(const Product&, int64_t begin, int64_t end);
  // Does tasks [begin, end) of Tasks().
  void (*multiply)(const Product&, int64_t begin, int64_t end, float* scratch);
};

struct LinearImplementation {
  LinearFunctions<float, float, float> f32;
  LinearFunctions<uint16_t, float, uint16_t> bf16;
  LinearFunctions<uint16_t, uint16_t, float> bf16_weight_gradient;
  int64_t bf16_elements;  // in one row of a panel
};

THOR_DECLARE_IMPLEMENTATIONS(LinearImplementation, linear);

}  // namespace thor

#endif  // THOR_LINEAR_IMPLEMENTATION_H_
