/* Averages of gradients over steps, and the direction that they give.
 *
 *   nesterov_momentum (Nesterov 1983; Sutskever et al. 2013), f the factor of x's part:
 *     next = decay average + fresh f x        direction = decay next + fresh f x
 *   heavy_ball (Polyak 1964):
 *     next = decay average + f x              direction = next
 *
 * Layout: average, x, next, direction: [parts, elements], contiguous, factors [parts].
 * Aliasing: next may be average, direction may be x. Alignment: none beyond a float's.
 * Numerics: each sum within 3 * 2^-24 of the sum of its terms' absolute values; the same bits for any thread count.
 * NaN and infinity go into their own element. Cost: 4 parts elements FLOP, 4 passes over memory.
 * Errors: a size below 0: THOR_BAD_SIZE; decay or fresh below 0 or not finite: THOR_BAD_VALUE. */
#ifndef THOR_MOMENTUM_H_
#define THOR_MOMENTUM_H_

#include <stdint.h>

#include "common/export.h"

#ifdef __cplusplus
extern "C" {
#endif

THOR_EXPORT int thor_nesterov_momentum_f32(const float* average, const float* x, const float* factors, int64_t parts,
                                           int64_t elements, float decay, float fresh, float* next, float* direction,
                                           int threads);
THOR_EXPORT int thor_heavy_ball_f32(const float* average, const float* x, const float* factors, int64_t parts,
                                    int64_t elements, float decay, float* next, float* direction, int threads);

/* For MindSpore. In: average[...], which becomes next; x[...], factors[parts], settings[2] = (decay, fresh). Out:
 * direction[...]. All float32. */
THOR_EXPORT int thor_nesterov_momentum(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes,
                                       void* stream, void* extra);
/* In: average[...], which becomes next; x[...], factors[parts], decay[1]. Out: direction[...]. All float32. */
THOR_EXPORT int thor_heavy_ball(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes,
                                void* stream, void* extra);

#ifdef __cplusplus
}
#endif
#endif /* THOR_MOMENTUM_H_ */
