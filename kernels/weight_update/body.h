// The loop of weight_update, compiled once per instruction set.
#ifndef THOR_WEIGHT_UPDATE_BODY_H_
#define THOR_WEIGHT_UPDATE_BODY_H_

#include "common/lanes.h"
#include "weight_update/implementation.h"

namespace {

void Move(const float* weight, const float* direction, int64_t n, float kept, float step, float* next) {
  ForEachVector(n, [=](int64_t i, auto lanes) {
    const Floats moved = Set(step) * Load(direction + i, lanes);
    Store(next + i, Set(kept) * Load(weight + i, lanes) - moved, lanes);
  });
}

constexpr thor::WeightUpdateImplementation kImplementation = Move;

}  // namespace

#endif  // THOR_WEIGHT_UPDATE_BODY_H_
