/* Dropout with a counter-based generator, and the generator itself.
 *
 *   y[i] = x[i] * keep(i) / (1 - probability)
 *
 * keep(i) is a function of slice n + i, key, step and site alone (kernels/common/dropout.h states it): the same for any
 * thread count and instruction set, and for any number of equal slices that x is cut into. Applied to dy with the same
 * seed it is its own gradient.
 * seed: {key[0], key[1], step, slice}; site: which dropout of the network; both are bit patterns.
 * Layout: n contiguous elements. Aliasing: y may be x. Alignment: that of the element type.
 * Numerics: one rounding per element; probability 0 copies x and draws nothing (a subnormal
 * bfloat16 may become 0). An infinity that is dropped becomes
 * NaN. Cost: n FLOP and 2 passes over memory, and about 2 integer operations per element for the generator. Errors: n <
 * 0: THOR_BAD_SIZE; probability not in [0, 1): THOR_BAD_VALUE. Nothing is written then. */
#ifndef THOR_DROPOUT_H_
#define THOR_DROPOUT_H_

#include <stdint.h>

#include "common/export.h"

#ifdef __cplusplus
extern "C" {
#endif

THOR_EXPORT int thor_dropout_f32(const float* x, float probability, const int32_t* seed, int32_t site, int64_t n,
                                 float* y, int threads);
THOR_EXPORT int thor_dropout_bf16(const uint16_t* x, float probability, const int32_t* seed, int32_t site, int64_t n,
                                  uint16_t* y, int threads);

/* Philox4x32-10 (Salmon et al. 2011): words of counters (block mod 2^32, block / 2^32, step, site) for the blocks
 * first_block .. first_block + blocks - 1, four words each; the slice does not matter. */
THOR_EXPORT int thor_philox_u32(const int32_t* seed, int32_t site, int64_t first_block, int64_t blocks,
                                uint32_t* words);

/* For MindSpore. In: x[...] float32 or bfloat16, probability[1] float32, seed[4], site[1] int32. Out: y[...] as x. */
THOR_EXPORT int thor_dropout(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes, void* stream,
                             void* extra);

#ifdef __cplusplus
}
#endif
#endif /* THOR_DROPOUT_H_ */
