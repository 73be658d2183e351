// What l2_norm.cc asks of body.h.
#ifndef THOR_L2_NORM_IMPLEMENTATION_H_
#define THOR_L2_NORM_IMPLEMENTATION_H_

#include <cstdint>

#include "common/dispatch.h"

namespace thor {

// Sum of squares.
using L2NormImplementation = float (*)(const float* x, int64_t n);

THOR_DECLARE_IMPLEMENTATIONS(L2NormImplementation, l2_norm);

}  // namespace thor

#endif  // THOR_L2_NORM_IMPLEMENTATION_H_
