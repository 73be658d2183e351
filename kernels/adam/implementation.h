// What adam.cc asks of body.h.
#ifndef THOR_ADAM_IMPLEMENTATION_H_
#define THOR_ADAM_IMPLEMENTATION_H_

#include <cstdint>

#include "common/dispatch.h"

namespace thor {

// `result` is the direction, or with a weight the next weight.
struct AdamTensors {
  const float *weight, *first, *second, *gradient;
  float *next_first, *next_second, *result;
};

// The weights of the old moments and of what is new, with the gradient's factor in the new ones' weights; next weight =
// kept weight - rate direction. Elements of the gradient count as `largest` at most.
struct AdamNumbers {
  float old_first, new_first, old_second, new_second, correction, eps, kept, rate, largest;
};

using AdamLoop = void (*)(const AdamTensors& tensors, int64_t first, int64_t count, const AdamNumbers& numbers);

struct AdamImplementation {
  AdamLoop direction, update;
};

THOR_DECLARE_IMPLEMENTATIONS(AdamImplementation, adam);

}  // namespace thor

#endif  // THOR_ADAM_IMPLEMENTATION_H_
