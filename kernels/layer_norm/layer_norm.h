/* Layer normalisation over the last axis and its gradient (Ba, Kiros, Hinton 2016).
 *
 *   mean[r] = sum_j x[r,j] / h        rstd[r] = 1 / sqrt(sum_j (x[r,j] - mean[r])^2 / h + eps)
 *   y[r,j]  = (x[r,j] - mean[r]) * rstd[r] * gamma[j] + beta[j]
 *
 *   xhat = (x - mean) * rstd,  g = dy * gamma
 *   dx[r,j] = rstd[r] * (g[r,j] - mean_j g[r] - xhat[r,j] * mean_j (g * xhat)[r])
 *   dgamma[j] = sum_r dy[r,j] * xhat[r,j]        dbeta[j] = sum_r dy[r,j]
 *
 * Layout: x, y, dy, dx [rows, features] row-major and contiguous; gamma, beta, dgamma, dbeta [features]; mean, rstd
 * [rows]. The suffix names the storage of x, y, dy and dx (bf16: bfloat16 bit patterns); the others are float.
 * Aliasing: y may be x and dx may be dy; nothing else may overlap. Alignment: that of the element type.
 * Numerics: float arithmetic, two passes for the statistics at any mean/std ratio; dgamma and dbeta are summed in the
 * same pass as dx over row chunks that depend on `rows` alone, in a fixed order: the same bits for any thread count.
 * A row with a NaN or an infinity becomes NaN and no other row does (dgamma and dbeta then are NaN too).
 * Cost: forward 8 rows features FLOP, 2 passes over memory; backward 15 rows features FLOP, 3 passes.
 * Caches: y and dx of 8 MiB and more are stored past them, with the same bits, where a row is longer than a vector.
 * Errors: features < 1 or rows < 0: THOR_BAD_SIZE; eps negative or NaN: THOR_BAD_VALUE. Nothing is written then. */
#ifndef THOR_LAYER_NORM_H_
#define THOR_LAYER_NORM_H_

#include <stdint.h>

#include "common/export.h"

#ifdef __cplusplus
extern "C" {
#endif

THOR_EXPORT int thor_layer_norm_f32(const float* x, const float* gamma, const float* beta, float eps, int64_t rows,
                                    int64_t features, float* y, float* mean, float* rstd, int threads);
THOR_EXPORT int thor_layer_norm_bf16(const uint16_t* x, const float* gamma, const float* beta, float eps, int64_t rows,
                                     int64_t features, uint16_t* y, float* mean, float* rstd, int threads);
THOR_EXPORT int thor_layer_norm_grad_f32(const float* dy, const float* x, const float* gamma, const float* mean,
                                         const float* rstd, int64_t rows, int64_t features, float* dx, float* dgamma,
                                         float* dbeta, int threads);
THOR_EXPORT int thor_layer_norm_grad_bf16(const uint16_t* dy, const uint16_t* x, const float* gamma, const float* mean,
                                          const float* rstd, int64_t rows, int64_t features, uint16_t* dx,
                                          float* dgamma, float* dbeta, int threads);

/* For MindSpore, whose types say which of the two. In: x[..., h], gamma[h], beta[h], eps[1]. Out: y[..., h],
 * mean[rows], rstd[rows]. x and y float32 or both bfloat16, the others float32. */
THOR_EXPORT int thor_layer_norm(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes,
                                void* stream, void* extra);
/* In: dy[..., h], x[..., h], gamma[h], mean[rows], rstd[rows]. Out: dx[..., h], dgamma[h], dbeta[h]. dy, x and dx
 * float32 or all bfloat16, the others float32. */
THOR_EXPORT int thor_layer_norm_grad(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes,
                                     void* stream, void* extra);

#ifdef __cplusplus
}
#endif
#endif /* THOR_LAYER_NORM_H_ */
