/* The step of the weights with decoupled decay (Loshchilov, Hutter 2019), f the factor of the direction's part:
 *
 *   next = (1 - rate decay) weight - rate f direction
 *
 * Layout: weight, direction, next: [parts, elements], contiguous; factors [parts].
 * Aliasing: next may be weight or direction. Alignment: none beyond a float's.
 * Numerics: within 4 * 2^-24 of the sum of the terms' absolute values; the same bits for any thread count. NaN and
 * infinity go into their own element. Cost: 3 parts elements FLOP, 3 passes over memory.
 * Errors: a size below 0: THOR_BAD_SIZE; rate or decay below 0 or not finite: THOR_BAD_VALUE. */
#ifndef THOR_WEIGHT_UPDATE_H_
#define THOR_WEIGHT_UPDATE_H_

#include <stdint.h>

#include "common/export.h"

#ifdef __cplusplus
extern "C" {
#endif

THOR_EXPORT int thor_weight_update_f32(const float* weight, const float* direction, const float* factors, int64_t parts,
                                       int64_t elements, float rate, float decay, float* next, int threads);

/* For MindSpore. In: weight[...], which becomes next; direction[...], factors[parts], rate[1], decay[1]. Out: rate[1]
 * again, for others to depend on. All float32. */
THOR_EXPORT int thor_weight_update(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes,
                                   void* stream, void* extra);

#ifdef __cplusplus
}
#endif
#endif /* THOR_WEIGHT_UPDATE_H_ */
