/* Soft thresholding (Donoho 1995), element by element:
 *
 *   result = sign(x) max(|x| - limit, 0)
 *
 * Layout: x, result: [elements], contiguous. Aliasing: result may be x. Alignment: none beyond a float's.
 * Numerics: within 2^-24 of |result|; the same bits for any thread count. NaN and infinity go into their own element.
 * Cost: 3 elements FLOP, 2 passes over memory.
 * Errors: elements below 0: THOR_BAD_SIZE; limit below 0 or not finite: THOR_BAD_VALUE. */
#ifndef THOR_SOFT_THRESHOLD_H_
#define THOR_SOFT_THRESHOLD_H_

#include <stdint.h>

#include "common/export.h"

#ifdef __cplusplus
extern "C" {
#endif

THOR_EXPORT int thor_soft_threshold_f32(const float* x, int64_t elements, float limit, float* result, int threads);

/* For MindSpore. In: x[...], limit[1]. Out: result[...]. All float32. */
THOR_EXPORT int thor_soft_threshold(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes,
                                    void* stream, void* extra);

#ifdef __cplusplus
}
#endif
#endif /* THOR_SOFT_THRESHOLD_H_ */
