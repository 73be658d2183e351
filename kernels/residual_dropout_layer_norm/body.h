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
    const int64_t ahead = r + 1 < end ? h : 0;
    const auto add = [=](int64_t j, auto lanes, Floats scale) {
      const Floats term = Load(x + j, lanes) + Load(bias + j, lanes);
      Store(sum + j, MultiplyAdd(term, scale, Load(residual + j, lanes)), lanes);
    };
    ForEachDropoutOutputVector(a.dropout, r * h, sum, h, false, add, [=](int64_t j) {
      Prefetch(x + ahead + j);
      Prefetch(residual + ahead + j);
    });
    NormalizeRow(a.norm, r, [](int64_t) {});
  }
  StreamFence();
}

// a as T holds it.
template <typename T>
THOR_INLINE Floats RoundTo(Floats a) {
  T rounded[kLanes];
  Store(rounded, a, All{});
  return Load(rounded, All{});
}

template <typename T>
void ResidualBackward(const thor::ResidualDropoutGradArguments<T>& a, int64_t begin, int64_t end, float* dbias,
                      float* dgamma, float* dbeta) {
  const int64_t h = a.norm.features;
  ForEachVector(h, [=](int64_t j, auto lanes) { Store(dbias + j, Set(0), lanes); });
  GradientOfRows<2>(a.norm, begin, end, dgamma, dbeta, [&](int64_t row, auto gradient, auto fetch) {
    T *dresidual = a.norm.dx + row * h, *dx = a.dx + row * h;
    const bool stream = a.norm.stream && UnalignedElements(dresidual) == UnalignedElements(dx);
    const auto store = [=](int64_t j, auto lanes, Floats scale) {
      const Floats stored = RoundTo<T>(gradient(j, lanes));
      const Floats d = stored * scale;
      StoreOutput(dresidual + j, stored, lanes);
      StoreOutput(dx + j, d, lanes);
      Store(dbias + j, Load(dbias + j, lanes) + d, lanes);
    };
    ForEachDropoutOutputVector(a.dropout, row * h, dx, h, stream, store, fetch);
  });
}

constexpr thor::ResidualDropoutImplementation kImplementation = {
    {ResidualForward<float>, ResidualBackward<float>}, {ResidualForward<uint16_t>, ResidualBackward<uint16_t>}};

}  // namespace

#endif  // THOR_RESIDUAL_DROPOUT_LAYER_NORM_BODY_H_
