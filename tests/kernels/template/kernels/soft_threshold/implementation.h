// What soft_threshold.cc asks of body.h.
#ifndef THOR_SOFT_THRESHOLD_IMPLEMENTATION_H_
#define THOR_SOFT_THRESHOLD_IMPLEMENTATION_H_

#include <cstdint>

#include "common/dispatch.h"

namespace thor {

using SoftThresholdImplementation = void (*)(const float* x, int64_t n, float limit, float* result);

THOR_DECLARE_IMPLEMENTATIONS(SoftThresholdImplementation, soft_threshold);

}  // namespace thor

#endif  // THOR_SOFT_THRESHOLD_IMPLEMENTATION_H_
