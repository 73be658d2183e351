// The loops of layer norm and its gradient, compiled once per instruction set.
#ifndef THOR_LAYER_NORM_BODY_H_
#define THOR_LAYER_NORM_BODY_H_

#include "layer_norm/rows.h"

namespace {

// Rows of float up to this length are done one by one: one and its sums fit in a nearest cache of 32 KiB with the next
// one on its way, two do not. Longer ones share what they load of their sums.
constexpr int64_t kShortRow = 1024;

template <typename T>
void Gradient(const thor::LayerNormGradArguments<T>& a, int64_t begin, int64_t end, float* dgamma, float* dbeta) {
  const int64_t h = a.features;
  const auto finish = [&](int64_t row, auto gradient, auto fetch) {
    T* dx = a.dx + row * h;
    ForEachOutputVector(dx, h, a.stream, [=](int64_t j, auto lanes) {
      fetch(j);
      StoreOutput(dx + j, gradient(j, lanes), lanes);
    });
  };
  if (sizeof(T) == sizeof(float) && h <= kShortRow)
    GradientOfRows<1>(a, begin, end, dgamma, dbeta, finish);
  else
    GradientOfRows<2>(a, begin, end, dgamma, dbeta, finish);
}

constexpr thor::LayerNormImplementation kImplementation = {{NormalizeRows<float>, Gradient<float>},
                                                           {NormalizeRows<uint16_t>, Gradient<uint16_t>}};

}  // namespace

#endif  // THOR_LAYER_NORM_BODY_H_
