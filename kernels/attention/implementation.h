// What attention.cc asks of body.h: one head of one sequence at a time.
#ifndef THOR_ATTENTION_IMPLEMENTATION_H_
#define THOR_ATTENTION_IMPLEMENTATION_H_

#include <cstdint>

#include "common/dispatch.h"
#include "common/dropout.h"

namespace thor {

constexpr int kQueryBlock = 64;  // rows of scores held at a time

struct AttentionShape {
  int64_t batch, heads, length, head_size;
  int64_t hidden;                      // heads * head_size
  int64_t padded_length, padded_size;  // to full vectors of 16
};

struct AttentionArguments {
  AttentionShape shape;
  Dropout dropout;
  const float *qkv, *bias, *mask;
  float *out, *log_sum_exp;
};

struct AttentionGradArguments {
  AttentionShape shape;
  Dropout dropout;
  const float *dout, *qkv, *bias, *mask, *log_sum_exp;
  float* dqkv;
  float* bias_sums;  // [batch, 3 hidden]: the column sums of each sequence's dqkv
};

// Matrices of padded_length * padded_size floats and blocks of kQueryBlock * padded_length that the kernels need in
// scratch memory, beside a row of padded_length for the mask.
constexpr int kForwardMatrices = 3, kForwardBlocks = 1, kBackwardMatrices = 7, kBackwardBlocks = 2;

struct AttentionImplementation {
  // head counts over sequences and heads: sequence * heads + head.
  void (*forward)(const AttentionArguments&, int64_t head, float* scratch);
  void (*backward)(const AttentionGradArguments&, int64_t head, float* scratch);
};

THOR_DECLARE_IMPLEMENTATIONS(AttentionImplementation, attention);

}  // namespace thor

#endif  // THOR_ATTENTION_IMPLEMENTATION_H_
