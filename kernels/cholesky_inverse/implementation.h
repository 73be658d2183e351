// What cholesky_inverse.cc asks of body.h: one block, for checked arguments.
#ifndef THOR_CHOLESKY_INVERSE_IMPLEMENTATION_H_
#define THOR_CHOLESKY_INVERSE_IMPLEMENTATION_H_

#include <cstdint>

#include "common/dispatch.h"

namespace thor {

// Scratch of a worker, in floats: the factor and its inverse, each padded to whole tiles of 16 x 16.
constexpr int64_t CholeskyInverseScratch(int64_t n) { return 2 * ((n + 15) / 16 * 16) * ((n + 15) / 16 * 16); }

// inverse = (c + damping I)^-1 of an n x n block; returns the block's status.
using CholeskyInverseImplementation = int32_t (*)(const float* c, float damping, int64_t n, float* inverse,
                                                  float* scratch);

THOR_DECLARE_IMPLEMENTATIONS(CholeskyInverseImplementation, cholesky_inverse);

}  // namespace thor

#endif  // THOR_CHOLESKY_INVERSE_IMPLEMENTATION_H_
