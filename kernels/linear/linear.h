// A linear layer without its bias: the product with the weight, and both gradients.
//
//   y[n, o]  = sum over i < inputs of x[n, i] * w[o, i]
//   dx[n, i] = sum over o < outputs of dy[n, o] * w[o, i]
//   dw[o, i] = sum over n < rows of dy[n, o] * x[n, i]
//
// Layout: x, dx [rows, inputs], y, dy [rows, outputs], weight, dw [outputs, inputs], row-major, dense. An output must
// not overlap an input or another output. No alignment is required beyond that of the element type. A sum over nothing
// is 0. Types: ..._f32 all float32. ..._bf16: x, y, dy, dx are bfloat16; weight is float32 and is rounded to bfloat16
// (w above) as it is packed; dw is float32.
// Numbers: products of bfloat16 are exact, sums are float32, the result is rounded to its type once. An element is
// summed in one fixed order, whatever the number of threads. With K terms in a sum and u the unit roundoff of the
// result's type (2^-24, or 2^-8 for bfloat16),
//   |result - exact| <= 2^-24 * (K + 1) * sum of |terms| + u * |exact|.
// With AVX512_BF16 numbers below 2^-126 count as zero. NaN and infinity go to the elements that they belong to.
// Cost: 2 * rows * inputs * outputs FLOP a product. Both factors of a product are packed in scratch memory, in the type
// in which they are multiplied: the left one (x, dy, dy^T) once for all threads, of the right one (W, W, x) at most 256
// columns a thread. The weight is packed anew by every product: that takes 2 to 5 % of a product of 1024 rows.
#ifndef THOR_LINEAR_H_
#define THOR_LINEAR_H_

#include <stdint.h>

#include "common/export.h"

#ifdef __cplusplus
extern "C" {
#endif

// threads: 0 for thor_num_threads(). Returns a thor_status; nothing is written unless it is THOR_OK.
THOR_EXPORT int thor_linear_f32(const float* x, const float* weight, int64_t rows, int64_t inputs, int64_t outputs,
                                float* y, int threads);
THOR_EXPORT int thor_linear_bf16(const uint16_t* x, const float* weight, int64_t rows, int64_t inputs, int64_t outputs,
                                 uint16_t* y, int threads);
THOR_EXPORT int thor_linear_grad_f32(const float* dy, const float* x, const float* weight, int64_t rows, int64_t inputs,
                                     int64_t outputs, float* dx, float* dw, int threads);
THOR_EXPORT int thor_linear_grad_bf16(const uint16_t* dy, const uint16_t* x, const float* weight, int64_t rows,
                                      int64_t inputs, int64_t outputs, uint16_t* dx, float* dw, int threads);

// For MindSpore. Inputs x [..., inputs], weight [outputs, inputs], output y [..., outputs]: x and y float32 or
// bfloat16, weight float32.
THOR_EXPORT int thor_linear(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes, void* stream,
                            void* extra);
// Inputs dy [..., outputs], x [..., inputs], weight [outputs, inputs], outputs dx [..., inputs], dw [outputs, inputs]:
// dy, x, dx float32 or bfloat16, weight and dw float32.
THOR_EXPORT int thor_linear_grad(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes,
                                 void* stream, void* extra);

#ifdef __cplusplus
}
#endif
#endif  // THOR_LINEAR_H_
