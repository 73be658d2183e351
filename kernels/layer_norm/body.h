// The loops of layer norm and its gradient, compiled once per instruction set.
#ifndef THOR_LAYER_NORM_BODY_H_
#define THOR_LAYER_NORM_BODY_H_

#include "layer_norm/rows.h"

namespace {

template <typename T>
void Gradient(const thor::LayerNormGradArguments<T>& a, int64_t begin, int64_t end, float* dgamma, float* dbeta) {
  const int64_t h = a.features;
  GradientOfRows(a, begin, end, dgamma, dbeta, [&](int64_t row, auto gradient) {
    T* dx = a.dx + row * h;
    ForEachOutputVector(dx, h, a.stream,
                        [=](int64_t j, auto lanes) { StoreOutput(dx + j, gradient(j, lanes), lanes); });
  });
}

constexpr thor::LayerNormImplementation kImplementation = {{NormalizeRows<float>, Gradient<float>},
                                                           {NormalizeRows<uint16_t>, Gradient<uint16_t>}};

}  // namespace

#endif  // THOR_LAYER_NORM_BODY_H_
