/* Multi-head self-attention (Vaswani et al. 2017) on the packed projection, and its gradient.
 *
 *   q, k, v = the thirds of qkv + bias; head a of each: its columns a d .. a d + d - 1, h = heads d
 *   P = softmax(q k^T / sqrt(d) + mask), row by row        out = dropout(P) v
 *   log_sum_exp = the logarithm of the softmax's denominator, kept for the gradient, which recomputes P
 *
 * Letters: B = batch, S = length, h = hidden size, d = head size.
 * Masks: a key whose mask is -10000 or less, down to -infinity, counts for nothing: its weight is 0 exactly. A
 * sequence whose keys all do gives out 0 and gradients 0, and log_sum_exp -infinity, whichever of these values mask it.
 * Layout: qkv, dqkv [B S, 3 h], out, dout [B S, h], row-major and contiguous; bias, dbias [3 h]; mask [B, S], added to
 * the scores of every query; log_sum_exp [B, heads, S]. dbias is the column sum of dqkv. The suffix names the storage
 * of qkv, dqkv, out and dout (bf16: bfloat16 bit patterns); the others are float.
 * Dropout as in dropout/dropout.h; element (b, a, query, key) has index ((b heads + a) S + query) S + key.
 * Aliasing: none. Alignment: that of the element type.
 * Numerics: float arithmetic; out within 2 (S + d) units in the last place of max|v|. bf16 is rounded to once, when
 * storing; where the processor multiplies bfloat16, the weights and the gradient of the scores are rounded as well
 * before they are multiplied, and nothing else is. One task is one head of one sequence and sums run in a fixed
 * order: the same bits for any thread count. A NaN in a sequence stays in that sequence.
 * Cost: forward 4 B S^2 h FLOP, backward 10 B S^2 h, and one exponential per score each; qkv, out and their gradients
 * once through memory, the scores never: 64 rows of them live in scratch memory.
 * Errors: a size < 0, heads, head size or length < 1: THOR_BAD_SIZE; probability not in [0, 1): THOR_BAD_VALUE;
 * THOR_OUT_OF_MEMORY. Nothing is written then. */
#ifndef THOR_ATTENTION_H_
#define THOR_ATTENTION_H_

#include <stdint.h>

#include "common/export.h"

#ifdef __cplusplus
extern "C" {
#endif

THOR_EXPORT int thor_attention_f32(const float* qkv, const float* bias, const float* mask, float probability,
                                   const int32_t* seed, int32_t site, int64_t batch, int64_t heads, int64_t length,
                                   int64_t head_size, float* out, float* log_sum_exp, int threads);
THOR_EXPORT int thor_attention_grad_f32(const float* dout, const float* qkv, const float* bias, const float* mask,
                                        const float* log_sum_exp, float probability, const int32_t* seed, int32_t site,
                                        int64_t batch, int64_t heads, int64_t length, int64_t head_size, float* dqkv,
                                        float* dbias, int threads);
THOR_EXPORT int thor_attention_bf16(const uint16_t* qkv, const float* bias, const float* mask, float probability,
                                    const int32_t* seed, int32_t site, int64_t batch, int64_t heads, int64_t length,
                                    int64_t head_size, uint16_t* out, float* log_sum_exp, int threads);
THOR_EXPORT int thor_attention_grad_bf16(const uint16_t* dout, const uint16_t* qkv, const float* bias,
                                         const float* mask, const float* log_sum_exp, float probability,
                                         const int32_t* seed, int32_t site, int64_t batch, int64_t heads,
                                         int64_t length, int64_t head_size, uint16_t* dqkv, float* dbias, int threads);

/* For MindSpore. In: qkv[B S, 3 h], bias[3 h], mask[B, S], probability[1], seed[4], site[1].
 * Out: out[B S, h], log_sum_exp[B, heads, S]. qkv and out float32 or both bfloat16, seed and site int32, the others
 * float32. */
THOR_EXPORT int thor_attention(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes,
                               void* stream, void* extra);
/* In: dout[B S, h], qkv[B S, 3 h], bias[3 h], mask[B, S], log_sum_exp[B, heads, S], probability[1], seed[4],
 * site[1]. Out: dqkv[B S, 3 h], dbias[3 h]. dout, qkv and dqkv float32 or all bfloat16, seed and site int32, the others
 * float32. */
THOR_EXPORT int thor_attention_grad(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes,
                                    void* stream, void* extra);

#ifdef __cplusplus
}
#endif
#endif /* THOR_ATTENTION_H_ */
