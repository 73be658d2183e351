// THOR's preconditioned gradient of a dense layer: G^-1 * dW * A^-1 with block-diagonal inverses.
//
//   out[I, J] = g_inverse[i] * gradient[I, J] * a_inverse[j]
//
// for every pair of an output block i (rows I = i bg ... of dW) and an input block j (columns J = j ba ... of dW).
//
// Layout: g_inverse [ceil(outputs / bg), bg, bg], gradient and out [outputs, inputs], a_inverse
// [ceil(inputs / ba), ba, ba], row-major, dense. Where an edge does not divide its side only the leading part of the
// last block is read. The inverses may be any matrices: symmetry is not used. out must not overlap an input. No
// alignment is required beyond that of float.
// Numbers: fp32, every element summed in one fixed order whatever the number of threads; as for any two products,
//   |out - exact| <= 2^-24 * (bg + ba + 2) * |g_inverse| |gradient| |a_inverse| (matrices of absolute values).
// Cost: 2 * outputs * inputs * (bg + ba) FLOP in one pass over gradient and out; the intermediate stays in L2. An edge
// of 1 is a diagonal matrix, which scales rows or columns.
#ifndef THOR_PRECONDITION_H_
#define THOR_PRECONDITION_H_

#include <stdint.h>

#include "common/export.h"

#ifdef __cplusplus
extern "C" {
#endif

// threads: 0 for thor_num_threads(). Returns a thor_status; nothing is written unless it is THOR_OK.
THOR_EXPORT int thor_precondition_f32(const float* g_inverse, int64_t g_block, const float* gradient, int64_t outputs,
                                      int64_t inputs, const float* a_inverse, int64_t a_block, float* out, int threads);

// Inputs g_inverse [ng, bg, bg], gradient [outputs, inputs], a_inverse [na, ba, ba], output out [outputs, inputs], all
// float32.
THOR_EXPORT int thor_precondition(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes,
                                  void* stream, void* extra);

#ifdef __cplusplus
}
#endif
#endif  // THOR_PRECONDITION_H_
