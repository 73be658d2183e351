// What bias_gelu.cc asks of portable.cc, avx2.cc and avx512.cc.
#ifndef THOR_BIAS_GELU_IMPLEMENTATION_H_
#define THOR_BIAS_GELU_IMPLEMENTATION_H_

#include <cstdint>

namespace thor {

struct BiasGeluImplementation {
  void (*forward)(const float* x, const float* bias, int64_t rows, int64_t features, float* y);
  // dbias gets the sum over these rows.
  void (*backward)(const float* dy, const float* x, const float* bias, int64_t rows, int64_t features, float* dx,
                   float* dbias);
};

extern const BiasGeluImplementation bias_gelu_portable, bias_gelu_avx2, bias_gelu_avx512;

}  // namespace thor

#endif  // THOR_BIAS_GELU_IMPLEMENTATION_H_
