// What layer_norm.cc asks of body.h: rows of one storage type, checked arguments.
#ifndef THOR_LAYER_NORM_IMPLEMENTATION_H_
#define THOR_LAYER_NORM_IMPLEMENTATION_H_

#include <cstdint>

#include "common/dispatch.h"

namespace thor {

template <typename T>
struct LayerNormArguments {
  const T* x;
  const float *gamma, *beta;
  float eps;
  int64_t features;
  T* y;
  float *mean, *rstd;
  bool stream;  // y past the caches
};

template <typename T>
struct LayerNormGradArguments {
  const T *dy, *x;
  const float *gamma, *mean, *rstd;
  int64_t features;
  T* dx;
  bool stream;  // dx past the caches
};

template <typename T>
struct LayerNormRows {
  // y, mean and rstd of rows [begin, end).
  void (*forward)(const LayerNormArguments<T>&, int64_t begin, int64_t end);
  // dx of rows [begin, end); dgamma and dbeta get the sums over these rows.
  void (*backward)(const LayerNormGradArguments<T>&, int64_t begin, int64_t end, float* dgamma, float* dbeta);
};

struct LayerNormImplementation {
  LayerNormRows<float> f32;
  LayerNormRows<uint16_t> bf16;
};

THOR_DECLARE_IMPLEMENTATIONS(LayerNormImplementation, layer_norm);

}  // namespace thor

#endif  // THOR_LAYER_NORM_IMPLEMENTATION_H_
