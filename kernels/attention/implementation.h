// What attention.cc asks of body.h: one head of one sequence at a time, of one storage type.
#ifndef THOR_ATTENTION_IMPLEMENTATION_H_
#define THOR_ATTENTION_IMPLEMENTATION_H_

#include <cstdint>

#include "common/dispatch.h"
#include "common/dropout.h"

namespace thor {

constexpr int kQueryBlock = 64;       // rows of scores held at a time
constexpr float kMasked = -10000.0f;  // a key whose mask is not above this counts for nothing

struct AttentionShape {
  int64_t batch, heads, length, head_size;
  int64_t hidden;                      // heads * head_size
  int64_t padded_length, padded_size;  // to full vectors of 16
};

template <typename T>
struct AttentionArguments {
  AttentionShape shape;
  Dropout dropout;
  const T* qkv;
  const float *bias, *mask;
  T* out;
  float* log_sum_exp;
};

template <typename T>
struct AttentionGradArguments {
  AttentionShape shape;
  Dropout dropout;
  const T *dout, *qkv;
  const float *bias, *mask, *log_sum_exp;
  T* dqkv;
  float* bias_sums;  // [batch, 3 hidden]: the column sums of each sequence's dqkv
};

// What the kernels need in scratch memory: matrices of padded_length * padded_size floats, blocks of
// kQueryBlock * padded_length, and rows of padded_length.
constexpr int kForwardMatrices = 3, kForwardBlocks = 1, kBackwardMatrices = 7, kBackwardBlocks = 2, kScratchRows = 3;

template <typename T>
struct AttentionHead {
  // head counts over sequences and heads: sequence * heads + head.
  void (*forward)(const AttentionArguments<T>&, int64_t head, float* scratch);
  void (*backward)(const AttentionGradArguments<T>&, int64_t head, float* scratch);
};

struct AttentionImplementation {
  AttentionHead<float> f32;
  AttentionHead<uint16_t> bf16;
};

THOR_DECLARE_IMPLEMENTATIONS(AttentionImplementation, attention);

}  // namespace thor

#endif  // THOR_ATTENTION_IMPLEMENTATION_H_
