// The loop of Adam, compiled once per instruction set.
#ifndef THOR_ADAM_BODY_H_
#define THOR_ADAM_BODY_H_

#include "adam/implementation.h"
#include "common/lanes.h"

namespace {

void MoveMoments(const float* first, const float* second, const float* gradient, int64_t n,
                 const thor::AdamWeights& weights, float* next_first, float* next_second, float* direction) {
  const thor::AdamWeights w = weights;
  ForEachVector(n, [=](int64_t i, auto lanes) {
    const Floats g = Load(gradient + i, lanes);
    const Floats m = MultiplyAdd(Set(w.old_first), Load(first + i, lanes), Set(w.new_first) * g);
    const Floats v = MultiplyAdd(Set(w.old_second), Load(second + i, lanes), Set(w.new_second) * g * g);
    Store(next_first + i, m, lanes);
    Store(next_second + i, v, lanes);
    Store(direction + i, Set(w.correction) * m * Reciprocal(Sqrt(v) + Set(w.eps)), lanes);
  });
}

}  // namespace

#endif  // THOR_ADAM_BODY_H_
