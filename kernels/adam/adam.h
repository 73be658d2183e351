/* Adam's moments and direction (Kingma, Ba 2015, section 2's efficient order), f the factor of the gradient's part, and
 * its step with decoupled decay (Loshchilov, Hutter 2019):
 *
 *   next_first  = beta1 first  + (1 - beta1) f g
 *   next_second = beta2 second + (1 - beta2) (f g)^2
 *   adam:         direction   = correction next_first / (sqrt(next_second) + eps)
 *   adam_update:  next_weight = (1 - rate decay) weight - rate direction
 *
 * An element of f g beyond 2^63 (9.2e18) in size counts as 2^63 with its sign, so that no finite gradient makes a
 * moment infinite; NaN or infinity in the gradient makes NaN of its own element of the moments and of the result. With
 * correction = sqrt(1 - beta2^t) / (1 - beta1^t) in step t this is Adam with its eps beside the uncorrected root; with
 * eps sqrt(1 - beta2^t) in place of eps, beside the corrected one. Layout: weight, moments, gradient, direction:
 * [parts, elements], contiguous; factors [parts]; betas [4] = (beta1, 1 - beta1, beta2, 1 - beta2), so that the caller
 * rounds each once. Aliasing: each next_ may be what it follows, direction may be gradient. Alignment: a float's.
 * Numerics: each moment within 4 * 2^-24 of the sum of its terms' absolute values, direction within 6 * 2^-24 of itself
 * for the moments as stored, next_weight within 4 * 2^-24 more of its terms' sizes; the same bits for any thread count.
 * Cost: 16 (19) parts elements FLOP, 6 (7) passes over memory. Errors: a size below 0: THOR_BAD_SIZE; a beta,
 * correction, eps, rate or decay below 0 or not finite: THOR_BAD_VALUE. */
#ifndef THOR_ADAM_H_
#define THOR_ADAM_H_

#include <stdint.h>

#include "common/export.h"

#ifdef __cplusplus
extern "C" {
#endif

THOR_EXPORT int thor_adam_f32(const float* first, const float* second, const float* gradient, const float* factors,
                              int64_t parts, int64_t elements, const float* betas, float correction, float eps,
                              float* next_first, float* next_second, float* direction, int threads);
THOR_EXPORT int thor_adam_update_f32(const float* weight, const float* first, const float* second,
                                     const float* gradient, const float* factors, int64_t parts, int64_t elements,
                                     const float* betas, float correction, float eps, float rate, float decay,
                                     float* next_weight, float* next_first, float* next_second, int threads);

/* For MindSpore. In: first[...] and second[...], which become next_first and next_second; gradient[...],
 * factors[parts], betas[4], correction[1], eps[1]. Out: direction[...]. All float32. */
THOR_EXPORT int thor_adam(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes, void* stream,
                          void* extra);
/* In: weight[...], first[...] and second[...], which become what follows them; gradient[...], factors[parts], betas[4],
 * correction[1], eps[1], rate[1], decay[1]. Out: rate[1] again, for others to depend on. All float32. */
THOR_EXPORT int thor_adam_update(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes,
                                 void* stream, void* extra);

#ifdef __cplusplus
}
#endif
#endif /* THOR_ADAM_H_ */
