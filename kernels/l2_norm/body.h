// The loop of l2_norm, compiled once per instruction set.
#ifndef THOR_L2_NORM_BODY_H_
#define THOR_L2_NORM_BODY_H_

#include "common/lanes.h"
#include "l2_norm/implementation.h"

namespace {

float SumOfSquares(const float* x, int64_t n) {
  return SumOverVectors(n, [=](int64_t i, auto lanes) {
    const Floats value = Load(x + i, lanes);
    return value * value;
  });
}

constexpr thor::L2NormImplementation kImplementation = SumOfSquares;

}  // namespace

#endif  // THOR_L2_NORM_BODY_H_
