// The loops of layer normalisation, for the files of one instruction set. h = features.
#ifndef THOR_LAYER_NORM_ROWS_H_
#define THOR_LAYER_NORM_ROWS_H_

#include "common/lanes.h"
#include "layer_norm/implementation.h"

namespace {

template <typename T>
void NormalizeRows(const thor::LayerNormArguments<T>& a, int64_t begin, int64_t end) {
  const int64_t h = a.features;
  for (int64_t r = begin; r < end; ++r) {
    const T* x = a.x + r * h;
    T* y = a.y + r * h;
    const float mean = SumOverVectors(h, [=](int64_t j, auto lanes) { return Load(x + j, lanes); }) / h;
    const Floats center = Set(mean);
    const float variance = SumOverVectors(h,
                                          [=](int64_t j, auto lanes) {
                                            const Floats d = Keep(Load(x + j, lanes) - center, lanes);
                                            return d * d;
                                          }) /
                           h;
    const float rstd = 1.0f / __builtin_sqrtf(variance + a.eps);
    const Floats scale = Set(rstd);
    ForEachVector(h, [&](int64_t j, auto lanes) {
      const Floats xhat = (Load(x + j, lanes) - center) * scale;
      Store(y + j, MultiplyAdd(xhat, Load(a.gamma + j, lanes), Load(a.beta + j, lanes)), lanes);
    });
    a.mean[r] = mean;
    a.rstd[r] = rstd;
  }
}

// R rows together, so that the running dgamma and dbeta are loaded and stored once per R rows.
template <int R, typename T>
void GradientOfGroup(const thor::LayerNormGradArguments<T>& a, int64_t row, float* dgamma, float* dbeta) {
  const int64_t h = a.features;
  const T *dy = a.dy + row * h, *x = a.x + row * h;
  T* dx = a.dx + row * h;
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
    ForEachVector(h, [&](int64_t j, auto lanes) {
      const Floats g = Load(dy + r * h + j, lanes) * Load(a.gamma + j, lanes);
      const Floats xhat = (Load(x + r * h + j, lanes) - mean[r]) * rstd[r];
      Store(dx + r * h + j, rstd[r] * (g - mean_g - xhat * mean_gx), lanes);
    });
  }
}

// dx of rows [begin, end); dgamma and dbeta get the sums over these rows. after(row, rows) follows each group of rows
// while they are in the nearest cache.
template <typename T, typename After>
void GradientOfRows(const thor::LayerNormGradArguments<T>& a, int64_t begin, int64_t end, float* dgamma, float* dbeta,
                    After after) {
  ForEachVector(a.features, [&](int64_t j, auto lanes) {
    Store(dgamma + j, Set(0), lanes);
    Store(dbeta + j, Set(0), lanes);
  });
  int64_t r = begin;
  for (; r + 4 <= end; r += 4) {
    GradientOfGroup<4>(a, r, dgamma, dbeta);
    after(r, 4);
  }
  for (; r < end; ++r) {
    GradientOfGroup<1>(a, r, dgamma, dbeta);
    after(r, 1);
  }
}

}  // namespace

#endif  // THOR_LAYER_NORM_ROWS_H_
