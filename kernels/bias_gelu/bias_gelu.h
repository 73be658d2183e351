/* GELU of a sum with a bias (Hendrycks, Gimpel 2016, the exact form), and its gradient.
 *
 *   u = x + bias        y = u Phi(u)        Phi, phi: distribution and density of the standard normal law
 *   dx = dy (Phi(u) + u phi(u))        dbias[j] = sum_r dx[r,j]
 *
 * Layout: x, y, dy, dx [rows, features] row-major and contiguous; bias, dbias [features]. The suffix names the storage
 * of x, y, dy and dx (bf16: bfloat16 bit patterns); the others are float. Aliasing: y may be x, dx may be dy or x.
 * Alignment: that of the element type. Numerics: float arithmetic, rounded to the storage once; dbias sums dx before
 * that. y and the factor of dy within (3 + u^2 / 2) units in the last place of y (Phi keeps its relative accuracy in
 * the tails; 0 where it is below 1e-38); dbias is summed in the same pass over row chunks that depend on `rows` alone,
 * in a fixed order: the same bits for any thread count. Cost: forward about 40 rows features FLOP, 2 passes over
 * memory; backward 45, 3 passes. Errors: features < 1 or rows < 0: THOR_BAD_SIZE. Nothing is written then. */
#ifndef THOR_BIAS_GELU_H_
#define THOR_BIAS_GELU_H_

#include <stdint.h>

#include "common/export.h"

#ifdef __cplusplus
extern "C" {
#endif

THOR_EXPORT int thor_bias_gelu_f32(const float* x, const float* bias, int64_t rows, int64_t features, float* y,
                                   int threads);
THOR_EXPORT int thor_bias_gelu_grad_f32(const float* dy, const float* x, const float* bias, int64_t rows,
                                        int64_t features, float* dx, float* dbias, int threads);
THOR_EXPORT int thor_bias_gelu_bf16(const uint16_t* x, const float* bias, int64_t rows, int64_t features, uint16_t* y,
                                    int threads);
THOR_EXPORT int thor_bias_gelu_grad_bf16(const uint16_t* dy, const uint16_t* x, const float* bias, int64_t rows,
                                         int64_t features, uint16_t* dx, float* dbias, int threads);

/* For MindSpore. In: x[..., f], bias[f]. Out: y[..., f]. x and y float32 or both bfloat16, bias float32. */
THOR_EXPORT int thor_bias_gelu(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes,
                               void* stream, void* extra);
/* In: dy[..., f], x[..., f], bias[f]. Out: dx[..., f], dbias[f]. dy, x and dx float32 or all bfloat16, the others
 * float32. */
THOR_EXPORT int thor_bias_gelu_grad(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes,
                                    void* stream, void* extra);

#ifdef __cplusplus
}
#endif
#endif /* THOR_BIAS_GELU_H_ */
