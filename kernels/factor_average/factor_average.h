/* A Fisher factor averaged over time (Martens & Grosse 2015, section 5), with the traces that damping needs.
 *
 *   next[q] = keep factor[q] + (1 - keep) scale captured[q]   where all of scale captured[q], and its trace, is finite,
 *             factor[q]                                       elsewhere: the block is left out
 *   summary = (sum of the traces of next, number of blocks left out)
 *
 * So next is finite where factor is, whatever was captured. keep counts as 0 while the trace of all of factor is not
 * above 0: the first capture is taken whole.
 *
 * Layout: factor, captured, next: [blocks, edge, edge], contiguous; summary [2].
 * Aliasing: next may be factor. Alignment: none beyond a float's.
 * Numerics: keep factor, scale captured, its product with 1 - keep and the sum are rounded once each; traces are summed
 * in double and rounded once. Finite is what is no NaN and below 3.4e38 in size as a float, for an element of scale
 * captured as for its trace. The same bits for any thread count and instruction set.
 * Cost: 6 blocks edge^2 FLOP; 3 passes over memory where edge is at most 128, 4 above.
 * Errors: a size below 0: THOR_BAD_SIZE; an edge below 1: THOR_BAD_BLOCK; keep outside [0, 1], scale below 0 or not
 * finite: THOR_BAD_VALUE. */
#ifndef THOR_FACTOR_AVERAGE_H_
#define THOR_FACTOR_AVERAGE_H_

#include <stdint.h>

#include "common/export.h"

#ifdef __cplusplus
extern "C" {
#endif

THOR_EXPORT int thor_factor_average_f32(const float* factor, const float* captured, int64_t blocks, int64_t edge,
                                        float keep, float scale, float* next, float* summary, int threads);

/* For MindSpore. In: factor[blocks, edge, edge], which becomes next; captured of that shape, keep[1], scale[1]. Out:
 * summary[2]. All float32. */
THOR_EXPORT int thor_factor_average(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes,
                                    void* stream, void* extra);

#ifdef __cplusplus
}
#endif
#endif /* THOR_FACTOR_AVERAGE_H_ */
