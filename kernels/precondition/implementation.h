// What precondition.cc asks of body.h: some strips of out, for checked arguments.
#ifndef THOR_PRECONDITION_IMPLEMENTATION_H_
#define THOR_PRECONDITION_IMPLEMENTATION_H_

#include <cstdint>

#include "common/dispatch.h"

namespace thor {

// A task is a strip: up to kStripRows rows of one output block times one input block. Blocks of edge 1, a diagonal
// matrix, are taken kDiagonal at a time.
struct PreconditionArguments {
  const float* g_inverse;
  int64_t g_block;
  const float* gradient;  // [outputs, inputs]
  int64_t outputs, inputs;
  const float* a_inverse;
  int64_t a_block;
  float* out;

  static constexpr int64_t kStripRows = 128;
  static constexpr int64_t kDiagonal = 128;
  static constexpr int64_t kPadding = 16;  // floats after each row of scratch, against cache set conflicts

  static int64_t Ceil(int64_t x, int64_t y) { return (x + y - 1) / y; }
  int64_t OutputEdge() const { return g_block == 1 ? kDiagonal : g_block; }
  int64_t InputEdge() const { return a_block == 1 ? kDiagonal : a_block; }
  int64_t StripsPerBlock() const { return Ceil(OutputEdge(), kStripRows); }
  int64_t InputBlocks() const { return Ceil(inputs, InputEdge()); }
  int64_t Tasks() const { return Ceil(outputs, OutputEdge()) * StripsPerBlock() * InputBlocks(); }

  // Scratch of a worker, in floats.
  int64_t StripStride() const { return g_block + kPadding; }
  int64_t Width() const { return Ceil(InputEdge(), 16) * 16; }
  int64_t StripSize() const { return kStripRows * StripStride(); }
  int64_t GradientSize() const { return g_block * Width(); }
  int64_t ProductSize() const { return kStripRows * (Width() + kPadding); }
  int64_t InverseSize() const { return a_block * Width(); }
  int64_t ScratchSize() const { return StripSize() + GradientSize() + ProductSize() + InverseSize(); }
};

using PreconditionImplementation = void (*)(const PreconditionArguments&, int64_t begin, int64_t end, float* scratch);

THOR_DECLARE_IMPLEMENTATIONS(PreconditionImplementation, precondition);

}  // namespace thor

#endif  // THOR_PRECONDITION_IMPLEMENTATION_H_
