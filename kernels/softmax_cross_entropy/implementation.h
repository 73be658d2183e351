// What softmax_cross_entropy.cc asks of body.h: a row of logits of one storage type.
#ifndef THOR_SOFTMAX_CROSS_ENTROPY_IMPLEMENTATION_H_
#define THOR_SOFTMAX_CROSS_ENTROPY_IMPLEMENTATION_H_

#include <cstdint>

#include "common/dispatch.h"

namespace thor {

template <typename T>
struct SoftmaxCrossEntropyRow {
  // log sum exp of row + bias; *largest gets the largest element.
  float (*log_sum_exp)(const T* row, const float* bias, int64_t classes, float* largest);
  // gradient = scale * (softmax - [v = label]), and the same is added to bias_sums. gradient may be row.
  void (*gradient)(const T* row, const float* bias, int64_t classes, int32_t label, float log_sum_exp, float scale,
                   T* gradient, float* bias_sums);
};

struct SoftmaxCrossEntropyImplementation {
  SoftmaxCrossEntropyRow<float> f32;
  SoftmaxCrossEntropyRow<uint16_t> bf16;
};

THOR_DECLARE_IMPLEMENTATIONS(SoftmaxCrossEntropyImplementation, softmax_cross_entropy);

}  // namespace thor

#endif  // THOR_SOFTMAX_CROSS_ENTROPY_IMPLEMENTATION_H_
