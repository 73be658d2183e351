/* Weighted softmax cross-entropy of logits + bias, its gradient, and the number of correct predictions.
 *
 *   z = logits + bias        nll[r] = log sum_v exp z[r,v] - z[r, labels[r]]
 *   loss = sum_r weights[r] nll[r] / (sum_r weights[r] + 1e-5)
 *   correct = sum_r weights[r] [labels[r] is the first largest element of z[r]]
 *   dlogits[r,v] = dloss weights[r] / (sum weights + 1e-5) (softmax(z[r])[v] - [v = labels[r]])
 *   dbias[v] = sum_r dlogits[r,v]
 *
 * The masked language model's loss of BERT (Devlin et al. 2018), where the weight of a padded position is 0.
 * Layout: logits, dlogits [rows, classes] row-major and contiguous; bias, dbias [classes]; labels, weights,
 * log_sum_exp [rows]; loss, correct, dloss one element. The suffix names the storage of logits and dlogits (bf16:
 * bfloat16 bit patterns); the others are float.
 * Aliasing: dlogits may be logits. Alignment: that of the element type.
 * Numerics: float arithmetic; dlogits is rounded to its storage once, dbias sums it before that. Each nll within
 * (classes / 64 + 20) units in the last place of max(1, |log_sum_exp|); loss, correct and dbias are summed in a fixed
 * order: the same bits for any thread count. A NaN in a row makes loss NaN, unless the row's weight is 0: such a row
 * adds nothing and gets the gradient 0. Cost: forward 3 passes over logits in cache, 12 rows classes FLOP; backward 2
 * passes over memory, 14 rows classes FLOP. Errors: rows < 0 or classes < 1: THOR_BAD_SIZE; a label outside [0,
 * classes): THOR_BAD_VALUE; THOR_OUT_OF_MEMORY. Nothing is written then. */
#ifndef THOR_SOFTMAX_CROSS_ENTROPY_H_
#define THOR_SOFTMAX_CROSS_ENTROPY_H_

#include <stdint.h>

#include "common/export.h"

#ifdef __cplusplus
extern "C" {
#endif

THOR_EXPORT int thor_softmax_cross_entropy_f32(const float* logits, const float* bias, const int32_t* labels,
                                               const float* weights, int64_t rows, int64_t classes, float* loss,
                                               float* correct, float* log_sum_exp, int threads);
THOR_EXPORT int thor_softmax_cross_entropy_grad_f32(const float* dloss, const float* logits, const float* bias,
                                                    const int32_t* labels, const float* weights,
                                                    const float* log_sum_exp, int64_t rows, int64_t classes,
                                                    float* dlogits, float* dbias, int threads);
THOR_EXPORT int thor_softmax_cross_entropy_bf16(const uint16_t* logits, const float* bias, const int32_t* labels,
                                                const float* weights, int64_t rows, int64_t classes, float* loss,
                                                float* correct, float* log_sum_exp, int threads);
THOR_EXPORT int thor_softmax_cross_entropy_grad_bf16(const float* dloss, const uint16_t* logits, const float* bias,
                                                     const int32_t* labels, const float* weights,
                                                     const float* log_sum_exp, int64_t rows, int64_t classes,
                                                     uint16_t* dlogits, float* dbias, int threads);

/* For MindSpore. In: logits[n, v] float32 or bfloat16, bias[v] float32, labels[n] int32, weights[n] float32.
 * Out: loss[1], correct[1], log_sum_exp[n] float32. */
THOR_EXPORT int thor_softmax_cross_entropy(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes,
                                           void* stream, void* extra);
/* In: dloss[1], logits[n, v], bias[v], labels[n], weights[n], log_sum_exp[n]. Out: dlogits[n, v], dbias[v]. logits and
 * dlogits float32 or both bfloat16, labels int32, the others float32. */
THOR_EXPORT int thor_softmax_cross_entropy_grad(int nparam, void** params, int* ndims, int64_t** shapes,
                                                const char** dtypes, void* stream, void* extra);

#ifdef __cplusplus
}
#endif
#endif /* THOR_SOFTMAX_CROSS_ENTROPY_H_ */
