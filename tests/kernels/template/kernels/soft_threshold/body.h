// The loop of soft_threshold, compiled once per instruction set.
#ifndef THOR_SOFT_THRESHOLD_BODY_H_
#define THOR_SOFT_THRESHOLD_BODY_H_

#include "common/lanes.h"
#include "soft_threshold/implementation.h"

namespace {

void Shrink(const float* x, int64_t n, float limit, float* result) {
  ForEachVector(n, [=](int64_t i, auto lanes) {
    const Floats value = Load(x + i, lanes);
    Store(result + i, value - Min(Max(value, Set(-limit)), Set(limit)), lanes);
  });
}

constexpr thor::SoftThresholdImplementation kImplementation = Shrink;

}  // namespace

#endif  // THOR_SOFT_THRESHOLD_BODY_H_
