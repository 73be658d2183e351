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
 * Numerics: float arithmetic. What x - mean still has in the mean, because float rounded it, leaves x - mean and the
 * variance. With u = 2^-24, k = features / 64 + 24, deviation s = 1 / rstd = sqrt(variance + eps), and t = k u |mean| /
 * s the error in mean[r] is at most     2 u |mean| + k u (2 + t) s rstd[r]                k u (1 + t^2) rstd y[r,j] k u
 * ((2 + t + (1 + t^2) |xhat|) |gamma| + |beta|) and, where mean and rstd are those of the forward pass, with w = 1 +
 * |xhat| + 2 u |mean| / s and G = |g|, in dx[r,j]                k u rstd (G + mean_j G + 3 w mean_j (G w)) dgamma[j],
 * dbeta[j]    (rows + 3 k) u sum_r |dy| w,    (rows + 5) u sum_r |dy| and of bfloat16 one rounding of y and dx more. A
 * constant row so gives beta to within k u ((2 + t) |gamma| + |beta|). dgamma and dbeta are summed in the same pass as
 * dx over row chunks that depend on `rows` alone, in a fixed order: the same bits for any thread count. A row with a
 * NaN or an infinity becomes NaN and no other row does (dgamma and dbeta then are NaN too). So does a row whose sum, or
 * sum of squared distances from the mean, is above the largest float, 3.4e38: always where one distance is
 * above 1.8e19. eps 0 makes NaN of a row whose variance is 0.
 * Cost: forward 8 rows features FLOP, 2 passes over memory; backward 15 rows features FLOP, 3 passes; 2 FLOP more for
 * an element of a row whose |mean| is above its deviation. Caches: y and dx of 8 MiB and more are stored past them,
 * with the same bits, where a row is longer than a vector. Errors: features < 1 or rows < 0: THOR_BAD_SIZE; eps
 * negative or NaN: THOR_BAD_VALUE. Nothing is written then. */
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
