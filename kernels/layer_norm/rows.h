// The loops of layer normalisation, for the files of one instruction set. h = features.
//
// A float holds a mean to half a unit in its last place, which 1 / deviation may multiply by any number. So what x -
// mean still has in the mean, the rest, leaves it: corrected two-pass statistics (Chan, Golub, LeVeque 1983).
#ifndef THOR_LAYER_NORM_ROWS_H_
#define THOR_LAYER_NORM_ROWS_H_

#include "common/lanes.h"
#include "layer_norm/implementation.h"

namespace {

// The mean of x - mean, h numbers. A mean below a deviation is held to so small a part of one that the rest is no more
// than the other roundings; it then is 0 and not summed.
template <typename T>
THOR_INLINE float RestOfMean(const T* x, int64_t h, float mean, float rstd) {
  if (__builtin_fabsf(mean) * rstd <= 1) return 0;
  const Floats center = Set(mean);
  return SumOverVectors(h, [=](int64_t j, auto lanes) { return Keep(Load(x + j, lanes) - center, lanes); }) / h;
}

// NaN where the squares left the range of float.
inline float ReciprocalDeviation(float variance, float eps) {
  const float in_range = variance - variance;  // 0, or NaN
  return 1.0f / __builtin_sqrtf((variance < 0 ? 0 : variance) + in_range + eps);
}

// prefetch(offset) is called along the row while it is in the nearest cache: memory can fetch the next one meanwhile.
template <typename T, typename Prefetcher>
THOR_INLINE void NormalizeRow(const thor::LayerNormArguments<T>& a, int64_t r, Prefetcher prefetch) {
  const int64_t h = a.features;
  const T* x = a.x + r * h;
  T* y = a.y + r * h;
  const float mean = SumOverVectors(h, [=](int64_t j, auto lanes) { return Load(x + j, lanes); }) / h;
  const Floats center = Set(mean);
  const float mean_square = SumOverVectors(h,
                                           [=](int64_t j, auto lanes) {
                                             prefetch(j);
                                             const Floats d = Keep(Load(x + j, lanes) - center, lanes);
                                             return d * d;
                                           }) /
                            h;
  const float rest = RestOfMean(x, h, mean, ReciprocalDeviation(mean_square, a.eps));
  const float rstd = ReciprocalDeviation(mean_square - rest * rest, a.eps);
  const Floats scale = Set(rstd), shift = Set(-rest * rstd);
  const float *gamma = a.gamma, *beta = a.beta;
  ForEachOutputVector(y, h, a.stream, [=](int64_t j, auto lanes) {
    const Floats xhat = MultiplyAdd(Load(x + j, lanes) - center, scale, shift);
    StoreOutput(y + j, MultiplyAdd(xhat, Load(gamma + j, lanes), Load(beta + j, lanes)), lanes);
  });
  a.mean[r] = mean + rest;
  a.rstd[r] = rstd;
}

template <typename T>
void NormalizeRows(const thor::LayerNormArguments<T>& a, int64_t begin, int64_t end) {
  const int64_t ahead = a.stream ? 4 : 1;  // what memory has to bring takes longer than a row
  for (int64_t r = begin; r < end; ++r) {
    const T* next = a.x + (r + ahead < end ? r + ahead : r) * a.features;
    if (a.stream)
      NormalizeRow(a, r, [=](int64_t j) { PrefetchFar(next + j); });
    else
      NormalizeRow(a, r, [=](int64_t j) { Prefetch(next + j); });
  }
  StreamFence();
}

// R rows together, so that the running dgamma and dbeta are loaded and stored once per R rows. finish(row, gradient,
// fetch) stores the sixteen elements of dx that gradient(j, lanes) gives, and calls fetch(j) once for them. Of the rows
// `ahead` elements further dy is fetched during the sums and x by fetch, so that memory is never idle: into the second
// cache, because the nearest one holds no more than the rows at work and their sums. The loops over R
// have to be unrolled: an index known at run time would move the sums out of registers.
template <int R, typename T, typename Finish>
void GradientOfGroup(const thor::LayerNormGradArguments<T>& a, int64_t row, int64_t ahead, float* dgamma, float* dbeta,
                     Finish finish) {
  const int64_t h = a.features;
  const T *dy = a.dy + row * h, *x = a.x + row * h;
  const float* gamma_row = a.gamma;  // a copy, which no store can reach
  Floats mean[R], rstd[R], shift[R], sum_g[R], sum_gx[R];
#pragma GCC unroll 2
  for (int r = 0; r < R; ++r) {
    mean[r] = Set(a.mean[row + r]);
    rstd[r] = Set(a.rstd[row + r]);
    shift[r] = Set(-RestOfMean(x + r * h, h, a.mean[row + r], a.rstd[row + r]) * a.rstd[row + r]);
    sum_g[r] = sum_gx[r] = Set(0);
  }
  ForEachVector(h, [&](int64_t j, auto lanes) {
    const Floats gamma = Load(a.gamma + j, lanes);
    Floats gamma_sum = Load(dgamma + j, lanes), beta_sum = Load(dbeta + j, lanes);
#pragma GCC unroll 2
    for (int r = 0; r < R; ++r) {
      PrefetchFar(dy + ahead + r * h + j);
      const Floats d = Load(dy + r * h + j, lanes);
      const Floats xhat = MultiplyAdd(Load(x + r * h + j, lanes) - mean[r], rstd[r], shift[r]);
      const Floats g = d * gamma;
      sum_g[r] = sum_g[r] + g;
      sum_gx[r] = MultiplyAdd(g, xhat, sum_gx[r]);
      gamma_sum = MultiplyAdd(d, xhat, gamma_sum);
      beta_sum = beta_sum + d;
    }
    Store(dgamma + j, gamma_sum, lanes);
    Store(dbeta + j, beta_sum, lanes);
  });
#pragma GCC unroll 2
  for (int r = 0; r < R; ++r) {
    const Floats mean_g = Set(SumLanes(sum_g[r]) / h), mean_gx = Set(SumLanes(sum_gx[r]) / h);
    const Floats mean_x = mean[r], scale = rstd[r], shift_x = shift[r];
    const T *dy_row = dy + r * h, *x_row = x + r * h;
    const auto gradient = [=](int64_t j, auto lanes) {
      const Floats g = Load(dy_row + j, lanes) * Load(gamma_row + j, lanes);
      const Floats xhat = MultiplyAdd(Load(x_row + j, lanes) - mean_x, scale, shift_x);
      return scale * (g - mean_g - xhat * mean_gx);
    };
    finish(row + r, gradient, [=](int64_t j) { PrefetchFar(x_row + ahead + j); });
  }
}

// dgamma and dbeta get the sums over rows [begin, end), R rows at a time; finish(row, gradient, fetch) stores dx of
// each, as in GradientOfGroup.
template <int R, typename T, typename Finish>
void GradientOfRows(const thor::LayerNormGradArguments<T>& a, int64_t begin, int64_t end, float* dgamma, float* dbeta,
                    Finish finish) {
  ForEachVector(a.features, [&](int64_t j, auto lanes) {
    Store(dgamma + j, Set(0), lanes);
    Store(dbeta + j, Set(0), lanes);
  });
  constexpr int64_t kRowsAhead = R == 1 ? 4 : 2;
  int64_t r = begin;
  for (; r + R <= end; r += R)
    GradientOfGroup<R>(a, r, r + R + kRowsAhead <= end ? kRowsAhead * a.features : 0, dgamma, dbeta, finish);
  if (r < end) GradientOfGroup<1>(a, r, 0, dgamma, dbeta, finish);
  StreamFence();
}

}  // namespace

#endif  // THOR_LAYER_NORM_ROWS_H_
