// Damped inverse of symmetric positive definite blocks: (C + damping I)^-1.
//
// C + damping I = U^T U is factored by Cholesky's method, M = U^-T is formed along with the factor, and the inverse is
// M^T M.
//
// Layout: c and inverse [blocks, n, n], damping and status [blocks], row-major, dense, n >= 1. Only the upper
// triangle of c (c[q, i, j] with j >= i) is read. inverse may be c itself and must not overlap it otherwise. No
// alignment is required beyond that of float.
// Status of each block: 0, the inverse is there; k > 0, the k-th pivot (counted from 1, as LAPACK's info) is not
// positive; THOR_NOT_FINITE, the triangle or the damping holds a NaN or an infinity, or the inverse overflows. The
// inverse of a block that failed is all zeros. A failed block is no error of the call.
// Numbers: fp32, the bits of a block do not depend on the other blocks or on the number of threads; the inverse is
// exactly symmetric. ||I - A A^-1||_1 <= (4 + 0.1 n) 2^-24 ||A||_1 ||A^-1||_1 with A = C + damping I, and the error is
// within a factor of 2 of LAPACK's spotrf and spotri.
// Cost: n^3 FLOP and 8 n^2 bytes per block; scratch 8 n^2 bytes per thread. Blocks run in parallel, a single block on
// one thread.
#ifndef THOR_CHOLESKY_INVERSE_H_
#define THOR_CHOLESKY_INVERSE_H_

#include <stdint.h>

#include "common/export.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { THOR_NOT_FINITE = -1 };

// threads: 0 for thor_num_threads(). Returns a thor_status; nothing is written unless it is THOR_OK.
THOR_EXPORT int thor_cholesky_inverse_f32(const float* c, const float* damping, int64_t blocks, int64_t n,
                                          float* inverse, int32_t* status, int threads);

// Inputs c [blocks, n, n] and damping [blocks] float32, outputs inverse [blocks, n, n] float32 and status [blocks]
// int32.
THOR_EXPORT int thor_cholesky_inverse(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes,
                                      void* stream, void* extra);

#ifdef __cplusplus
}
#endif
#endif  // THOR_CHOLESKY_INVERSE_H_
