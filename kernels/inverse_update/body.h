// The norm of inverse_update, compiled once per instruction set.
#ifndef THOR_INVERSE_UPDATE_BODY_H_
#define THOR_INVERSE_UPDATE_BODY_H_

#include "common/lanes.h"
#include "inverse_update/implementation.h"

namespace {

inline Floats Absolute(Floats x) { return Max(x, Set(0) - x); }

float Norm1(const float* block, int64_t edge, float* sums) {
  for (int64_t i = 0; i < edge; ++i)
    ForEachVector(edge, [=](int64_t j, auto lanes) {
      const Floats before = i == 0 ? Set(0) : Load(sums + j, lanes);
      Store(sums + j, before + Absolute(Load(block + i * edge + j, lanes)), lanes);
    });
  float largest = 0;
  for (int64_t j = 0; j < edge; ++j)
    if (sums[j] > largest || sums[j] != sums[j]) largest = sums[j];
  return largest;
}

constexpr thor::InverseUpdateImplementation kImplementation = Norm1;

}  // namespace

#endif  // THOR_INVERSE_UPDATE_BODY_H_
