// The loops of bias + GELU, compiled once per instruction set.
#ifndef THOR_BIAS_GELU_BODY_H_
#define THOR_BIAS_GELU_BODY_H_

#include "bias_gelu/implementation.h"
#include "common/elementary.h"

namespace {

template <typename T>
void Forward(const T* x, const float* bias, int64_t rows, int64_t features, T* y) {
  for (int64_t r = 0; r < rows; ++r, x += features, y += features)
    ForEachVector(features, [=](int64_t j, auto lanes) {
      const Floats u = Load(x + j, lanes) + Load(bias + j, lanes);
      Store(y + j, u * NormalDistribution(u).distribution, lanes);
    });
}

template <typename T>
void Backward(const T* dy, const T* x, const float* bias, int64_t rows, int64_t features, T* dx, float* dbias) {
  ForEachVector(features, [=](int64_t j, auto lanes) { Store(dbias + j, Set(0), lanes); });
  for (int64_t r = 0; r < rows; ++r, dy += features, x += features, dx += features)
    ForEachVector(features, [=](int64_t j, auto lanes) {
      const Floats u = Load(x + j, lanes) + Load(bias + j, lanes);
      const Normal normal = NormalDistribution(u);
      const Floats d = Load(dy + j, lanes) * MultiplyAdd(u, normal.density, normal.distribution);
      Store(dx + j, d, lanes);
      Store(dbias + j, Load(dbias + j, lanes) + d, lanes);
    });
}

constexpr thor::BiasGeluImplementation kImplementation = {{Forward<float>, Backward<float>},
                                                          {Forward<uint16_t>, Backward<uint16_t>}};

}  // namespace

#endif  // THOR_BIAS_GELU_BODY_H_
