// Fisher factor of a layer: the diagonal blocks of x^T diag(w) x / N, w being 1 where no weights are given.
//
//   out[q, i, j] = 1/N * sum over rows r < N of w[r] * x[r, q b + i] * x[r, q b + j]
//
// for 0 <= q < ceil(d / b) and 0 <= i, j < b.
//
// Layout: x [N, d] and out [ceil(d / b), b, b], row-major, dense. out must not overlap x. No alignment is required
// beyond that of the element type. Where b does not divide d the last block's rows and columns past d are zero; N = 0
// gives zeros. Numbers: products and sums in fp32; bf16 products are exact before they are summed. Each element of out
// is summed in one fixed order, whatever the number of threads; out is exactly symmetric. With max = max |x|,
//   |out - exact| <= 2 * 2^-24 * (N + 1) * max^2.
// NaN and infinity in x go to the elements of out that they belong to. An element whose products or sum leave the range
// of float is summed again from 2^-96 x: it is infinite only where its mean is above the largest float.
// Weights: what is said of x holds for y = sqrt(w[r]) * x[r], rounded to fp32 twice on the way and multiplied in fp32,
// and
//   |out - exact| <= 2 * 2^-24 * (N + 4) * max |y|^2.
// Rows of weight 0 (-0 too) are not read and cost nothing; they count in N. A NaN or negative weight makes every
// element NaN that x has a feature for, an infinite one what infinity times x makes. Weights of 1 give the bits of
// none, except for bf16 where the processor has instructions for its products: those sum pairs of rows, and no weighted
// ones.
//
// Cost: N * d * (b + 1) FLOP (half of the full products), about N * d * sizeof(x) + 4 * d * b bytes; N without
// the rows of weight 0.
#ifndef THOR_FISHER_COVARIANCE_H_
#define THOR_FISHER_COVARIANCE_H_

#include <stdint.h>

#include "common/export.h"

#ifdef __cplusplus
extern "C" {
#endif

// threads: 0 for thor_num_threads(). Returns a thor_status; nothing is written unless it is THOR_OK.
THOR_EXPORT int thor_fisher_covariance_f32(const float* x, int64_t rows, int64_t features, int64_t block, float* out,
                                           int threads);

// x holds bfloat16 bit patterns: the upper halves of fp32 numbers.
THOR_EXPORT int thor_fisher_covariance_bf16(const uint16_t* x, int64_t rows, int64_t features, int64_t block,
                                            float* out, int threads);

// The same with weights [N].
THOR_EXPORT int thor_weighted_fisher_covariance_f32(const float* x, const float* weights, int64_t rows,
                                                    int64_t features, int64_t block, float* out, int threads);
THOR_EXPORT int thor_weighted_fisher_covariance_bf16(const uint16_t* x, const float* weights, int64_t rows,
                                                     int64_t features, int64_t block, float* out, int threads);

// Inputs x [..., d] float32 or bfloat16 (leading axes are rows) and, where given, weights [...] float32; output out
// [ceil(d / b), b, b] float32.
THOR_EXPORT int thor_fisher_covariance(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes,
                                       void* stream, void* extra);

#ifdef __cplusplus
}
#endif
#endif  // THOR_FISHER_COVARIANCE_H_
