// What bias_gelu.cc asks of body.h: rows of one storage type.
#ifndef THOR_BIAS_GELU_IMPLEMENTATION_H_
#define THOR_BIAS_GELU_IMPLEMENTATION_H_

#include <cstdint>

#include "common/dispatch.h"

namespace thor {

template <typename T>
struct BiasGeluRows {
  void (*forward)(const T* x, const float* bias, int64_t rows, int64_t features, T* y);
  // dbias gets the sum over these rows.
  void (*backward)(const T* dy, const T* x, const float* bias, int64_t rows, int64_t features, T* dx, float* dbias);
};

struct BiasGeluImplementation {
  BiasGeluRows<float> f32;
  BiasGeluRows<uint16_t> bf16;
};

THOR_DECLARE_IMPLEMENTATIONS(BiasGeluImplementation, bias_gelu);

}  // namespace thor

#endif  // THOR_BIAS_GELU_IMPLEMENTATION_H_
