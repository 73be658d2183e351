// The loops of layer normalisation, for the files of one instruction set. h = features.
#ifndef THOR_LAYER_NORM_ROWS_H_
#define THOR_LAYER_NORM_ROWS_H_

#include "common/lanes.h"
#include "layer_norm/implementation.h"

namespace {

// prefetch(offset) is called along the row while it is in the nearest cache: memory can fetch the next one meanwhile.
template <typename T, typename Prefetcher>
THOR_INLINE void NormalizeRow(const thor::LayerNormArguments<T>& a, int64_t r, Prefetcher prefetch) {
  const int64_t h = a.features;
  const T* x = a.x + r * h;
  T* y = a.y + r * h;
  const float mean = SumOverVectors(h, [=](int64_t j, auto lanes) { return Load(x + j, lanes); }) / h;
  const Floats center = Set(mean);
  const float variance = SumOverVectors(h,
                                        [=](int64_t j, auto lanes) {
                                          prefetch(j);
                                          const Floats d = Keep(Load(x + j, lanes) - center, lanes);
                                          return d * d;
                                        }) /
                         h;
  const float rstd = 1.0f / __builtin_sqrtf(variance + a.eps);
  const Floats scale = Set(rstd);
  const float *gamma = a.gamma, *beta = a.beta;
  ForEachOutputVector(y, h, a.stream, [=](int64_t j, auto lanes) {
    const Floats xhat = (Load(x + j, lanes) - center) * scale;
    StoreOutput(y + j, MultiplyAdd(xhat, Load(gamma + j, lanes), Load(beta + j, lanes)), lanes);
  });
  a.mean[r] = mean;
  a.rstd[r] = rstd;
}

template <typename T>
void NormalizeRows(const thor::LayerNormArguments<T>& a, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    const T* next = a.x + (r + 1 < end ? r + 1 : r) * a.features;
    NormalizeRow(a, r, [=](int64_t j) { Prefetch(next + j); });
  }
  StreamFence();
}

// R rows together, so that the running dgamma and dbeta are loaded and stored once per R rows. finish(row, gradient)
// stores the sixteen elements of dx that gradient(j, lanes) gives; the rows `ahead` elements further are fetched then.
template <int R, typename T, typename Finish>
void GradientOfGroup(const thor::LayerNormGradArguments<T>& a, int64_t row, int64_t ahead, float* dgamma, float* dbeta,
                     Finish finish) {
  const int64_t h = a.features;
  const T *dy = a.dy + row * h, *x = a.x + row * h;
  const float* gamma_row = a.gamma;  // a copy, which no store can reach
  Floats mean[R], rstd[R], sum_g[R], sum_gx[R];
  for (int r = 0; r < R; ++r) {
    mean[r] = Set(a.mean[row + r]);
    rstd[r] = Set(a.rstd[row + r]);
    sum_g[r] = sum_gx[r] = Set(0);
  }
  ForEachVector(h, [&](int64_t j, auto lanes) {
    const Floats gamma = Load(a.gamma + j, lanes);
    Floats gamma_sum = Load(dgamma + j, lanes), beta_sum = Load(dbeta + j, lanes);
    for (int r = 0; r < R; ++r) {
      const Floats d = Load(dy + r * h + j, lanes);
      const Floats xhat = (Load(x + r * h + j, lanes) - mean[r]) * rstd[r];
      const Floats g = d * gamma;
      sum_g[r] = sum_g[r] + g;
      sum_gx[r] = MultiplyAdd(g, xhat, sum_gx[r]);
      gamma_sum = MultiplyAdd(d, xhat, gamma_sum);
      beta_sum = beta_sum + d;
    }
    Store(dgamma + j, gamma_sum, lanes);
    Store(dbeta + j, beta_sum, lanes);
  });
  for (int r = 0; r < R; ++r) {
    const Floats mean_g = Set(SumLanes(sum_g[r]) / h), mean_gx = Set(SumLanes(sum_gx[r]) / h);
    const Floats mean_x = mean[r], scale = rstd[r];
    const T *dy_row = dy + r * h, *x_row = x + r * h;
    finish(row + r, [=](int64_t j, auto lanes) {
      Prefetch(dy_row + ahead + j);
      Prefetch(x_row + ahead + j);
      const Floats g = Load(dy_row + j, lanes) * Load(gamma_row + j, lanes);
      const Floats xhat = (Load(x_row + j, lanes) - mean_x) * scale;
      return scale * (g - mean_g - xhat * mean_gx);
    });
  }
}

// dgamma and dbeta get the sums over rows [begin, end); finish(row, gradient) stores dx of each, as in GradientOfGroup.
// Two rows and what they are summed with fit in the nearest cache, with the next two on their way.
template <typename T, typename Finish>
void GradientOfRows(const thor::LayerNormGradArguments<T>& a, int64_t begin, int64_t end, float* dgamma, float* dbeta,
                    Finish finish) {
  ForEachVector(a.features, [&](int64_t j, auto lanes) {
    Store(dgamma + j, Set(0), lanes);
    Store(dbeta + j, Set(0), lanes);
  });
  int64_t r = begin;
  for (; r + 2 <= end; r += 2) GradientOfGroup<2>(a, r, r + 4 <= end ? 2 * a.features : 0, dgamma, dbeta, finish);
  if (r < end) GradientOfGroup<1>(a, r, 0, dgamma, dbeta, finish);
  StreamFence();
}

}  // namespace

#endif  // THOR_LAYER_NORM_ROWS_H_
