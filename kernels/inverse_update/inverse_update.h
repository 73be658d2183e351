/* New inverses take the place of old ones where they can be trusted.
 *
 *   condition[q] = (|block[q]|_1 + damping[q]) |candidate[q]|_1
 *   next[q] = candidate[q]  where status[q] = 0 and condition[q] <= limit,
 *             inverse[q]    elsewhere
 *
 * |.|_1 is the largest column sum of absolute values, so that for a positive semidefinite block and its damped inverse
 * as candidate, condition is an upper bound of the condition number of block + damping I in that norm.
 *
 * Layout: inverse, block, candidate, next: [blocks, edge, edge], contiguous; damping, status, condition [blocks].
 * Aliasing: next may be inverse or candidate. Alignment: none beyond a float's.
 * Numerics: each norm within edge 2^-24 of itself, condition three roundings more; next is copied. The same bits for
 * any thread count and instruction set. A condition that is NaN is not below the limit.
 * Cost: 2 blocks edge^2 additions, 4 passes over memory.
 * Errors: a size below 0: THOR_BAD_SIZE; an edge below 1: THOR_BAD_BLOCK; limit below 0 or not finite:
 * THOR_BAD_VALUE. */
#ifndef THOR_INVERSE_UPDATE_H_
#define THOR_INVERSE_UPDATE_H_

#include <stdint.h>

#include "common/export.h"

#ifdef __cplusplus
extern "C" {
#endif

THOR_EXPORT int thor_inverse_update_f32(const float* inverse, const float* block, const float* damping,
                                        const float* candidate, const int32_t* status, int64_t blocks, int64_t edge,
                                        float limit, float* next, float* condition, int threads);

/* For MindSpore. In: inverse[blocks, edge, edge], which becomes next; block of that shape, damping[blocks], candidate
 * of that shape, status[blocks] int32, limit[1]. Out: condition[blocks]. All others float32. */
THOR_EXPORT int thor_inverse_update(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes,
                                    void* stream, void* extra);

#ifdef __cplusplus
}
#endif
#endif /* THOR_INVERSE_UPDATE_H_ */
