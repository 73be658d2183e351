/* Rows of a table by index, and the gradient of the table.
 *
 *   y[r] = table[ids[r]]        dtable[v] = sum over r with ids[r] = v of dy[r]
 *
 * Layout: table, dtable [vocabulary, features], y, dy [rows, features], row-major and contiguous; ids [rows].
 * Aliasing: none. Alignment: none beyond a float's.
 * Numerics: rows are added in their order, whoever does it: the same bits for any thread count.
 * Cost: forward rows features copied; backward vocabulary features zeroed and rows features added. Both are bound by
 * memory, so there is one implementation for all instruction sets.
 * Errors: rows < 0, vocabulary or features < 1: THOR_BAD_SIZE; an id outside [0, vocabulary): THOR_BAD_VALUE. Nothing
 * is written then. */
#ifndef THOR_EMBEDDING_H_
#define THOR_EMBEDDING_H_

#include <stdint.h>

#include "common/export.h"

#ifdef __cplusplus
extern "C" {
#endif

THOR_EXPORT int thor_embedding_f32(const float* table, const int32_t* ids, int64_t vocabulary, int64_t rows,
                                   int64_t features, float* y, int threads);
THOR_EXPORT int thor_embedding_grad_f32(const float* dy, const int32_t* ids, int64_t vocabulary, int64_t rows,
                                        int64_t features, float* dtable, int threads);

/* For MindSpore. In: table[v, h] float32, ids[n] int32. Out: y[n, h] float32. */
THOR_EXPORT int thor_embedding(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes,
                               void* stream, void* extra);
/* In: dy[n, h] float32, ids[n] int32, table[v, h] float32 (for its shape alone). Out: dtable[v, h] float32. */
THOR_EXPORT int thor_embedding_grad(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes,
                                    void* stream, void* extra);

#ifdef __cplusplus
}
#endif
#endif /* THOR_EMBEDDING_H_ */
