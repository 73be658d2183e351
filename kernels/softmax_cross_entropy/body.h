// The loops of softmax cross-entropy, compiled once per instruction set.
#ifndef THOR_SOFTMAX_CROSS_ENTROPY_BODY_H_
#define THOR_SOFTMAX_CROSS_ENTROPY_BODY_H_

#include "common/elementary.h"
#include "softmax_cross_entropy/implementation.h"

namespace {

// Lanes outside the row hold -infinity, which no maximum and no sum of exponentials notices.
template <typename T>
inline Floats Biased(const T* row, const float* bias, All lanes) {
  return Load(row, lanes) + Load(bias, lanes);
}
template <typename T>
inline Floats Biased(const T* row, const float* bias, First lanes) {
  float z[kLanes];
  Store(z, Set(-__builtin_inff()), All{});
  Store(z, Load(row, lanes) + Load(bias, lanes), lanes);
  return Load(z, All{});
}

template <typename T>
float LogSumExp(const T* row, const float* bias, int64_t classes, float* largest) {
  Floats top = Set(-__builtin_inff());
  ForEachVector(classes, [&](int64_t j, auto lanes) { top = Max(top, Biased(row + j, bias + j, lanes)); });
  *largest = MaxLanes(top);
  const Floats shift = Set(*largest);
  return *largest + __builtin_logf(SumOverVectors(
                        classes, [=](int64_t j, auto lanes) { return Exp(Biased(row + j, bias + j, lanes) - shift); }));
}

template <typename T>
void Gradient(const T* row, const float* bias, int64_t classes, int32_t label, float log_sum_exp, float scale,
              T* gradient, float* bias_sums) {
  const Floats shift = Set(log_sum_exp), factor = Set(scale);
  const auto softmax = [=](int64_t j, auto lanes) {
    return Exp(Load(row + j, lanes) + Load(bias + j, lanes) - shift) * factor;
  };
  const Floats of_label = softmax(label, First{1});  // before gradient may overwrite it, and before it is rounded
  ForEachVector(classes, [=](int64_t j, auto lanes) {
    const Floats d = softmax(j, lanes);
    Store(gradient + j, d, lanes);
    Store(bias_sums + j, Load(bias_sums + j, lanes) + d, lanes);
  });
  Store(gradient + label, of_label - factor, First{1});
  bias_sums[label] -= scale;
}

constexpr thor::SoftmaxCrossEntropyImplementation kImplementation = {{LogSumExp<float>, Gradient<float>},
                                                                     {LogSumExp<uint16_t>, Gradient<uint16_t>}};

}  // namespace

#endif  // THOR_SOFTMAX_CROSS_ENTROPY_BODY_H_
