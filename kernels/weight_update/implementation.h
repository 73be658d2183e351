// What weight_update.cc asks of body.h.
#ifndef THOR_WEIGHT_UPDATE_IMPLEMENTATION_H_
#define THOR_WEIGHT_UPDATE_IMPLEMENTATION_H_

#include <cstdint>

#include "common/dispatch.h"

namespace thor {

// next = kept weight - step direction.
using WeightUpdateImplementation = void (*)(const float* weight, const float* direction, int64_t n, float kept,
                                            float step, float* next);

THOR_DECLARE_IMPLEMENTATIONS(WeightUpdateImplementation, weight_update);

}  // namespace thor

#endif  // THOR_WEIGHT_UPDATE_IMPLEMENTATION_H_
