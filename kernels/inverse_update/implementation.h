// What inverse_update.cc asks of body.h.
#ifndef THOR_INVERSE_UPDATE_IMPLEMENTATION_H_
#define THOR_INVERSE_UPDATE_IMPLEMENTATION_H_

#include <cstdint>

#include "common/dispatch.h"

namespace thor {

// The largest column sum of absolute values of a block [edge, edge]; NaN if one of them is. `sums` has room for edge.
using InverseUpdateImplementation = float (*)(const float* block, int64_t edge, float* sums);

THOR_DECLARE_IMPLEMENTATIONS(InverseUpdateImplementation, inverse_update);

}  // namespace thor

#endif  // THOR_INVERSE_UPDATE_IMPLEMENTATION_H_
