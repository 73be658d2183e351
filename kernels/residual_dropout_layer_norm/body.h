// The loops of residual + dropout + layer norm, compiled once per instruction set: layer norm's own loops on one row at
// a time, while the row is in the nearest cache.
#ifndef THOR_RESIDUAL_DROPOUT_LAYER_NORM_BODY_H_
#define THOR_RESIDUAL_DROPOUT_LAYER_NORM_BODY_H_

#include "common/philox.h"
#include "layer_norm/rows.h"
#include "residual_dropout_layer_norm/implementation.h"

namespace {

template <typename T>
void ResidualForward(const thor::ResidualDropoutArguments<T>& a, int64_t begin, int64_t end) {
  const int64_t h = a.norm.features;
  for (int64_t r = begin; r < end; ++r) {
    const T *x = a.x + r * h, *residual = a.residual + r * h;
    const float* bias = a.bias;
    T* sum = a.sum + r * h;
    ForEachDropoutVector(a.dropout, r * h, h, [=](int64_t j, auto lanes, Floats scale) {
      const Floats term = Load(x + j, lanes) + Load(bias + j, lanes);
      Store(sum + j, MultiplyAdd(term, scale, Load(residual + j, lanes)), lanes);
    });
    NormalizeRows(a.norm, r, r + 1);
  }
}

template <typename T>
void ResidualBackward(const thor::ResidualDropoutGradArguments<T>& a, int64_t begin, int64_t end, float* dbias,
                      float* dgamma, float* dbeta) {
  const int64_t h = a.norm.features;
  ForEachVector(h, [=](int64_t j, auto lanes) { Store(dbias + j, Set(0), lanes); });
  GradientOfRows(a.norm, begin, end, dgamma, dbeta, [&](int64_t row, int64_t rows) {
    for (int64_t r = row; r < row + rows; ++r) {
      const T* dresidual = a.norm.dx + r * h;
      T* dx = a.dx + r * h;
      ForEachDropoutVector(a.dropout, r * h, h, [=](int64_t j, auto lanes, Floats scale) {
        const Floats d = Load(dresidual + j, lanes) * scale;
        Store(dx + j, d, lanes);
        Store(dbias + j, Load(dbias + j, lanes) + d, lanes);
      });
    }
  });
}

constexpr thor::ResidualDropoutImplementation kImplementation = {
    {ResidualForward<float>, ResidualBackward<float>}, {ResidualForward<uint16_t>, ResidualBackward<uint16_t>}};

}  // namespace

#endif  // THOR_RESIDUAL_DROPOUT_LAYER_NORM_BODY_H_
