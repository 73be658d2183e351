// What momentum.cc asks of body.h.
#ifndef THOR_MOMENTUM_IMPLEMENTATION_H_
#define THOR_MOMENTUM_IMPLEMENTATION_H_

#include <cstdint>

#include "common/dispatch.h"

namespace thor {

// `fresh`: what x is multiplied by, its factor included.
using MomentumLoop = void (*)(const float* average, const float* x, int64_t n, float decay, float fresh, float* next,
                              float* direction);

struct MomentumImplementation {
  MomentumLoop nesterov, heavy_ball;
};

THOR_DECLARE_IMPLEMENTATIONS(MomentumImplementation, momentum);

}  // namespace thor

#endif  // THOR_MOMENTUM_IMPLEMENTATION_H_
