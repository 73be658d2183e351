// The loops of factor_average, compiled once per instruction set.
#ifndef THOR_FACTOR_AVERAGE_BODY_H_
#define THOR_FACTOR_AVERAGE_BODY_H_

#include "common/lanes.h"
#include "factor_average/implementation.h"

namespace {

void Average(const float* factor, const float* captured, int64_t n, float keep, float fresh, float scale, float* next) {
  ForEachVector(n, [=](int64_t i, auto lanes) {
    const Floats added = Set(fresh) * (Set(scale) * Load(captured + i, lanes));
    Store(next + i, Set(keep) * Load(factor + i, lanes) + added, lanes);
  });
}

bool IsFinite(const float* captured, int64_t n, float scale) {
  const Floats factor = Set(scale), zero = Set(0);
  if (scale <= 1)  // it takes nothing out of the range of float
    return SumOverVectors(n, [=](int64_t i, auto lanes) { return zero * Load(captured + i, lanes); }) == 0;
  return SumOverVectors(n, [=](int64_t i, auto lanes) { return zero * (factor * Load(captured + i, lanes)); }) == 0;
}

constexpr thor::FactorAverageImplementation kImplementation = {IsFinite, Average};

}  // namespace

#endif  // THOR_FACTOR_AVERAGE_BODY_H_
