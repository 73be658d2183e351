/* The transformer's add-dropout-norm as one operation, and its gradient; x comes from a dense layer, whose bias is
 * added here.
 *
 *   sum = residual + dropout(x + bias)        y = layer_norm(sum, gamma, beta, eps)
 *
 *   dresidual = gradient of layer_norm at sum        dx = dropout(dresidual), the same elements dropped
 *   dbias[j] = sum_r dx[r,j]
 *
 * Dropout as in dropout/dropout.h (the gradient recomputes which elements were dropped from the same counters), layer
 * norm as in layer_norm/layer_norm.h: layout, errors of what is computed from the sum as it is stored, determinism and
 * what becomes of NaN, infinities and numbers whose squares are none are theirs.
 * Layout: x, residual, y, sum, dy, dx, dresidual [rows, features] row-major and contiguous; bias, gamma, beta
 * and their gradients [features]; mean, rstd [rows]. The suffix names the storage of the matrices (bf16: bfloat16 bit
 * patterns). seed: {key[0], key[1], step, slice}; site: which dropout of the network. probability 0: sum is residual +
 * (x + bias) exactly. Aliasing: sum may be x or residual, y may be x or residual but not sum; dresidual may be dy, not
 * dx. Caches: y, dx and dresidual of 8 MiB and more are stored past them, with the same bits; dx and dresidual where
 * both have the same alignment to 64 bytes (bf16: 32). Alignment: that of the element type. Cost: forward 11 rows
 * features FLOP, 4 passes over memory; backward 17 rows features FLOP, 4 passes; each about 2 integer operations per
 * element for the generator. Errors: features < 1 or rows < 0: THOR_BAD_SIZE; eps negative or NaN, probability not in
 * [0, 1): THOR_BAD_VALUE. */
#ifndef THOR_RESIDUAL_DROPOUT_LAYER_NORM_H_
#define THOR_RESIDUAL_DROPOUT_LAYER_NORM_H_

#include <stdint.h>

#include "common/export.h"

#ifdef __cplusplus
extern "C" {
#endif

THOR_EXPORT int thor_residual_dropout_layer_norm_f32(const float* x, const float* bias, const float* residual,
                                                     const float* gamma, const float* beta, float eps,
                                                     float probability, const int32_t* seed, int32_t site, int64_t rows,
                                                     int64_t features, float* y, float* sum, float* mean, float* rstd,
                                                     int threads);
THOR_EXPORT int thor_residual_dropout_layer_norm_bf16(const uint16_t* x, const float* bias, const uint16_t* residual,
                                                      const float* gamma, const float* beta, float eps,
                                                      float probability, const int32_t* seed, int32_t site,
                                                      int64_t rows, int64_t features, uint16_t* y, uint16_t* sum,
                                                      float* mean, float* rstd, int threads);
THOR_EXPORT int thor_residual_dropout_layer_norm_grad_f32(const float* dy, const float* sum, const float* gamma,
                                                          const float* mean, const float* rstd, float probability,
                                                          const int32_t* seed, int32_t site, int64_t rows,
                                                          int64_t features, float* dx, float* dbias, float* dresidual,
                                                          float* dgamma, float* dbeta, int threads);
THOR_EXPORT int thor_residual_dropout_layer_norm_grad_bf16(const uint16_t* dy, const uint16_t* sum, const float* gamma,
                                                           const float* mean, const float* rstd, float probability,
                                                           const int32_t* seed, int32_t site, int64_t rows,
                                                           int64_t features, uint16_t* dx, float* dbias,
                                                           uint16_t* dresidual, float* dgamma, float* dbeta,
                                                           int threads);

/* For MindSpore. In: x[..., h], bias[h], residual[..., h], gamma[h], beta[h], scalars[2] = (eps, probability), seed[4],
 * site[1]. Out: y[..., h], sum[..., h], mean[rows], rstd[rows]. x, residual, y and sum float32 or all bfloat16, seed
 * and site int32, the others float32. */
THOR_EXPORT int thor_residual_dropout_layer_norm(int nparam, void** params, int* ndims, int64_t** shapes,
                                                 const char** dtypes, void* stream, void* extra);
/* In: dy[..., h], sum[..., h], gamma[h], mean[rows], rstd[rows], scalars[2], seed[4], site[1]. Out: dx[..., h],
 * dbias[h], dresidual[..., h], dgamma[h], dbeta[h]. dy, sum, dx and dresidual float32 or all bfloat16, seed and site
 * int32, the others float32. */
THOR_EXPORT int thor_residual_dropout_layer_norm_grad(int nparam, void** params, int* ndims, int64_t** shapes,
                                                      const char** dtypes, void* stream, void* extra);

#ifdef __cplusplus
}
#endif
#endif /* THOR_RESIDUAL_DROPOUT_LAYER_NORM_H_ */
