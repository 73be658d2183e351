/* The sum of two tensors: where an activation is used twice, its gradient is the sum of two.
 *
 *   y[i] = a[i] + b[i]
 *
 * Layout: n contiguous elements each. Aliasing: y may be a or b. Alignment: that of the element type.
 * Numerics: summed in float32, rounded once to the type of storage. NaN and infinity as IEEE 754 adds them. Cost: n
 * FLOP and 3 passes over memory. Errors: n < 0: THOR_BAD_SIZE; nothing is written then. */
#ifndef THOR_ADD_H_
#define THOR_ADD_H_

#include <stdint.h>

#include "common/export.h"

#ifdef __cplusplus
extern "C" {
#endif

THOR_EXPORT int thor_add_f32(const float* a, const float* b, int64_t n, float* y, int threads);
THOR_EXPORT int thor_add_bf16(const uint16_t* a, const uint16_t* b, int64_t n, uint16_t* y, int threads);

/* For MindSpore. In: a[...], b[...]. Out: y[...]. All float32 or all bfloat16. */
THOR_EXPORT int thor_add(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes, void* stream,
                         void* extra);

#ifdef __cplusplus
}
#endif
#endif /* THOR_ADD_H_ */
