/* L2 norms of the equal parts of a tensor: norms[p] = sqrt(sum_i x[p, i]^2).
 *
 * Layout: x [parts, elements] contiguous, norms [parts]. norms must not overlap x. Alignment: none beyond a float's.
 * Numerics: squares are summed in float over pieces of 4096 elements, the pieces in double in one order: within 40 *
 * 2^-24 of the norm, the same bits for any thread count. Elements above 2.8e17 may give infinity, squares below 1e-38
 * may count as 0; a NaN gives NaN. Cost: 2 parts elements FLOP, 1 pass over memory.
 * Errors: a size below 0: THOR_BAD_SIZE. */
#ifndef THOR_L2_NORM_H_
#define THOR_L2_NORM_H_

#include <stdint.h>

#include "common/export.h"

#ifdef __cplusplus
extern "C" {
#endif

THOR_EXPORT int thor_l2_norm_f32(const float* x, int64_t parts, int64_t elements, float* norms, int threads);

/* For MindSpore. In: x[...]. Out: norms[parts]: x falls into that many equal parts. All float32. */
THOR_EXPORT int thor_l2_norm(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes, void* stream,
                             void* extra);

#ifdef __cplusplus
}
#endif
#endif /* THOR_L2_NORM_H_ */
