// What residual_dropout_layer_norm.cc asks of body.h: layer norm's arguments and a dropout.
#ifndef THOR_RESIDUAL_DROPOUT_LAYER_NORM_IMPLEMENTATION_H_
#define THOR_RESIDUAL_DROPOUT_LAYER_NORM_IMPLEMENTATION_H_

#include <cstdint>

#include "common/dispatch.h"
#include "common/dropout.h"
#include "layer_norm/implementation.h"

namespace thor {

template <typename T>
struct ResidualDropoutArguments {
  Dropout dropout;
  const T* x;
  const float* bias;
  const T* residual;
  T* sum;
  LayerNormArguments<T> norm;  // norm.x is sum
};

template <typename T>
struct ResidualDropoutGradArguments {
  Dropout dropout;
  T* dx;
  LayerNormGradArguments<T> norm;  // norm.x is sum, norm.dx is dresidual
};

template <typename T>
struct ResidualDropoutRows {
  void (*forward)(const ResidualDropoutArguments<T>&, int64_t begin, int64_t end);
  // dbias, dgamma and dbeta get the sums over rows [begin, end).
  void (*backward)(const ResidualDropoutGradArguments<T>&, int64_t begin, int64_t end, float* dbias, float* dgamma,
                   float* dbeta);
};

struct ResidualDropoutImplementation {
  ResidualDropoutRows<float> f32;
  ResidualDropoutRows<uint16_t> bf16;
};

THOR_DECLARE_IMPLEMENTATIONS(ResidualDropoutImplementation, residual_dropout_layer_norm);

}  // namespace thor

#endif  // THOR_RESIDUAL_DROPOUT_LAYER_NORM_IMPLEMENTATION_H_
