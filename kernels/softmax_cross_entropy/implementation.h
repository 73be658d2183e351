// What softmax_cross_entropy.cc asks of portable.cc, avx2.cc and avx512.cc.
#ifndef THOR_SOFTMAX_CROSS_ENTROPY_IMPLEMENTATION_H_
#define THOR_SOFTMAX_CROSS_ENTROPY_IMPLEMENTATION_H_

#include <cstdint>

namespace thor {

struct SoftmaxCrossEntropyImplementation {
  // log sum exp of row + bias; *largest gets the largest element.
  float (*log_sum_exp)(const float* row, const float* bias, int64_t classes, float* largest);
  // gradient = scale * (softmax - [v = label]), and the same is added to bias_sums. gradient may be row.
  void (*gradient)(const float* row, const float* bias, int64_t classes, int32_t label, float log_sum_exp, float scale,
                   float* gradient, float* bias_sums);
};

extern const SoftmaxCrossEntropyImplementation softmax_cross_entropy_portable, softmax_cross_entropy_avx2,
    softmax_cross_entropy_avx512;

}  // namespace thor

#endif  // THOR_SOFTMAX_CROSS_ENTROPY_IMPLEMENTATION_H_
