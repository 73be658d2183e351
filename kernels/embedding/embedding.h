/* Rows of a table by index, and the gradient of the table.
 *
 *   y[r] = table[ids[r]]        dtable[v] = sum over r with ids[r] = v of dy[r]
 *
 * Layout: table, dtable [vocabulary, features], y, dy [rows, features], row-major and contiguous; ids [rows]. The
 * suffix names the storage (bf16: bfloat16 bit patterns) of table and dtable, then that of y and dy where it is another
 * one. Aliasing: none. Alignment: that of the element type. Numerics: a float that becomes bfloat16 is rounded to
 * nearest. Sums are float, of the rows in their order, whoever adds them: the same bits for any thread count; a
 * bfloat16 dtable is rounded once, after its sums. Cost: forward rows features copied; backward vocabulary features
 * zeroed and rows features added. Both are bound by memory. Errors: rows < 0, vocabulary or features < 1:
 * THOR_BAD_SIZE; an id outside [0, vocabulary): THOR_BAD_VALUE; THOR_OUT_OF_MEMORY. Nothing is written then. */
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

THOR_EXPORT int thor_embedding_f32_bf16(const float* table, const int32_t* ids, int64_t vocabulary, int64_t rows,
                                        int64_t features, uint16_t* y, int threads);
THOR_EXPORT int thor_embedding_grad_f32_bf16(const uint16_t* dy, const int32_t* ids, int64_t vocabulary, int64_t rows,
                                             int64_t features, float* dtable, int threads);
THOR_EXPORT int thor_embedding_bf16(const uint16_t* table, const int32_t* ids, int64_t vocabulary, int64_t rows,
                                    int64_t features, uint16_t* y, int threads);
THOR_EXPORT int thor_embedding_grad_bf16(const uint16_t* dy, const int32_t* ids, int64_t vocabulary, int64_t rows,
                                         int64_t features, uint16_t* dtable, int threads);

/* For MindSpore. In: table[v, h], ids[n] int32. Out: y[n, h]. table and y float32 or bfloat16, but no float32 y of a
 * bfloat16 table. */
THOR_EXPORT int thor_embedding(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes,
                               void* stream, void* extra);
/* In: dy[n, h] as y, ids[n] int32, table[v, h] (for shape and type alone). Out: dtable[v, h] as table. */
THOR_EXPORT int thor_embedding_grad(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes,
                                    void* stream, void* extra);

#ifdef __cplusplus
}
#endif
#endif /* THOR_EMBEDDING_H_ */
