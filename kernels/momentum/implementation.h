// What momentum.cc asks of portable.cc, avx2.cc and avx512.cc.
#ifndef THOR_MOMENTUM_IMPLEMENTATION_H_
#define THOR_MOMENTUM_IMPLEMENTATION_H_

#include <cstdint>

namespace thor {

// `fresh`: what x is multiplied by, its factor included.
using MomentumLoop = void (*)(const float* average, const float* x, int64_t n, float decay, float fresh, float* next,
                              float* direction);

struct MomentumImplementation {
  MomentumLoop nesterov, heavy_ball;
};

extern const MomentumImplementation momentum_portable, momentum_avx2, momentum_avx512;

}  // namespace thor

#endif  // THOR_MOMENTUM_IMPLEMENTATION_H_
