// The loops of softmax cross-entropy, compiled once per instruction set.
#ifndef THOR_SOFTMAX_CROSS_ENTROPY_BODY_H_
#define THOR_SOFTMAX_CROSS_ENTROPY_BODY_H_

#include "common/elementary.h"
#include "softmax_cross_entropy/implementation.h"

namespace {

// Lanes outside the row hold -infinity, which no maximum and no sum of exponentials notices.
inline Floats Biased(const float* row, const float* bias, All lanes) { return Load(row, lanes) + Load(bias, lanes); }
inline Floats Biased(const float* row, const float* bias, First lanes) {
  float z[kLanes];
  Store(z, Set(-__builtin_inff()), All{});
  Store(z, Load(row, lanes) + Load(bias, lanes), lanes);
  return Load(z, All{});
}

float LogSumExp(const float* row, const float* bias, int64_t classes, float* largest) {
  Floats top = Set(-__builtin_inff());
  ForEachVector(classes, [&](int64_t j, auto lanes) { top = Max(top, Biased(row + j, bias + j, lanes)); });
  *largest = MaxLanes(top);
  const Floats shift = Set(*largest);
  return *largest + __builtin_logf(SumOverVectors(
                        classes, [=](int64_t j, auto lanes) { return Exp(Biased(row + j, bias + j, lanes) - shift); }));
}

void Gradient(const float* row, const float* bias, int64_t classes, int32_t label, float log_sum_exp, float scale,
              float* gradient, float* bias_sums) {
  const Floats shift = Set(log_sum_exp), factor = Set(scale);
  ForEachVector(classes, [=](int64_t j, auto lanes) {
    const Floats d = Exp(Load(row + j, lanes) + Load(bias + j, lanes) - shift) * factor;
    Store(gradient + j, d, lanes);
    Store(bias_sums + j, Load(bias_sums + j, lanes) + d, lanes);
  });
  gradient[label] -= scale;
  bias_sums[label] -= scale;
}

constexpr thor::SoftmaxCrossEntropyImplementation kImplementation = {LogSumExp, Gradient};

}  // namespace

#endif  // THOR_SOFTMAX_CROSS_ENTROPY_BODY_H_
