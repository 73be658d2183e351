// What bias_gelu.cc asks of body.h.
#ifndef THOR_BIAS_GELU_IMPLEMENTATION_H_
#define THOR_BIAS_GELU_IMPLEMENTATION_H_

#include <cstdint>

#include "common/dispatch.h"

namespace thor {

struct BiasGeluImplementation {
  void (*forward)(const float* x, const float* bias, int64_t rows, int64_t features, float* y);
  // dbias gets the sum over these rows.
  void (*backward)(const float* dy, const float* x, const float* bias, int64_t rows, int64_t features, float* dx,
                   float* dbias);
};

THOR_DECLARE_IMPLEMENTATIONS(BiasGeluImplementation, bias_gelu);

}  // namespace thor

#endif  // THOR_BIAS_GELU_IMPLEMENTATION_H_
