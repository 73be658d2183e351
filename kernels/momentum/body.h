// The loops of momentum, compiled once per instruction set.
#ifndef THOR_MOMENTUM_BODY_H_
#define THOR_MOMENTUM_BODY_H_

#include "common/lanes.h"
#include "momentum/implementation.h"

namespace {

void Nesterov(const float* average, const float* x, int64_t n, float decay, float fresh, float* next,
              float* direction) {
  ForEachVector(n, [=](int64_t i, auto lanes) {
    const Floats added = Set(fresh) * Load(x + i, lanes);
    const Floats m = MultiplyAdd(Set(decay), Load(average + i, lanes), added);
    Store(next + i, m, lanes);
    Store(direction + i, MultiplyAdd(Set(decay), m, added), lanes);
  });
}

void HeavyBall(const float* average, const float* x, int64_t n, float decay, float fresh, float* next,
               float* direction) {
  ForEachVector(n, [=](int64_t i, auto lanes) {
    const Floats m = MultiplyAdd(Set(decay), Load(average + i, lanes), Set(fresh) * Load(x + i, lanes));
    Store(next + i, m, lanes);
    Store(direction + i, m, lanes);
  });
}

constexpr thor::MomentumImplementation kImplementation = {Nesterov, HeavyBall};

}  // namespace

#endif  // THOR_MOMENTUM_BODY_H_
