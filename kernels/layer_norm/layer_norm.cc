#include "layer_norm/layer_norm.h"

#include <algorithm>

#include "common/aot.h"
#include "common/dispatch.h"
#include "common/parallel.h"
#include "common/row_chunks.h"
#include "layer_norm/implementation.h"

namespace {

using thor::AotArguments;
constexpr const char* kF32 = "float32";

int CheckSizes(int64_t rows, int64_t features) {
  return features < 1 || !thor::CouldExist({rows, features}) ? THOR_BAD_SIZE : THOR_OK;
}

template <typename T>
int Forward(const thor::LayerNormRows<T>& implementation, const thor::LayerNormArguments<T>& a, int64_t rows,
            int threads) {
  if (const int status = CheckSizes(rows, a.features)) return status;
  if (!(a.eps >= 0)) return THOR_BAD_VALUE;
  if (rows == 0) return THOR_OK;
  if (!a.x || !a.gamma || !a.beta || !a.y || !a.mean || !a.rstd) return THOR_NULL_POINTER;
  thor::ParallelForRows(rows, a.features, threads,
                        [&](int64_t begin, int64_t end) { implementation.forward(a, begin, end); });
  return THOR_OK;
}

template <typename T>
int Backward(const thor::LayerNormRows<T>& implementation, const thor::LayerNormGradArguments<T>& a, int64_t rows,
             float* dgamma, float* dbeta, int threads) {
  if (const int status = CheckSizes(rows, a.features)) return status;
  if (!dgamma || !dbeta) return THOR_NULL_POINTER;
  if (rows > 0 && (!a.dy || !a.x || !a.gamma || !a.mean || !a.rstd || !a.dx)) return THOR_NULL_POINTER;
  float* const sums[] = {dgamma, dbeta};
  return thor::SumOverRowChunks(rows, a.features, sums, threads, [&](int64_t begin, int64_t end, float* const* sums) {
    implementation.backward(a, begin, end, sums[0], sums[1]);
  });
}

}  // namespace

extern "C" {

int thor_layer_norm_f32(const float* x, const float* gamma, const float* beta, float eps, int64_t rows,
                        int64_t features, float* y, float* mean, float* rstd, int threads) {
  return Forward(THOR_CHOOSE(thor::layer_norm).f32,
                 {x, gamma, beta, eps, features, y, mean, rstd, thor::Streams<float>(rows, features)}, rows, threads);
}

int thor_layer_norm_bf16(const uint16_t* x, const float* gamma, const float* beta, float eps, int64_t rows,
                         int64_t features, uint16_t* y, float* mean, float* rstd, int threads) {
  return Forward(THOR_CHOOSE(thor::layer_norm).bf16,
                 {x, gamma, beta, eps, features, y, mean, rstd, thor::Streams<uint16_t>(rows, features)}, rows,
                 threads);
}

int thor_layer_norm_grad_f32(const float* dy, const float* x, const float* gamma, const float* mean, const float* rstd,
                             int64_t rows, int64_t features, float* dx, float* dgamma, float* dbeta, int threads) {
  return Backward(THOR_CHOOSE(thor::layer_norm).f32,
                  {dy, x, gamma, mean, rstd, features, dx, thor::Streams<float>(rows, features)}, rows, dgamma, dbeta,
                  threads);
}

int thor_layer_norm_grad_bf16(const uint16_t* dy, const uint16_t* x, const float* gamma, const float* mean,
                              const float* rstd, int64_t rows, int64_t features, uint16_t* dx, float* dgamma,
                              float* dbeta, int threads) {
  return Backward(THOR_CHOOSE(thor::layer_norm).bf16,
                  {dy, x, gamma, mean, rstd, features, dx, thor::Streams<uint16_t>(rows, features)}, rows, dgamma,
                  dbeta, threads);
}

int thor_layer_norm(THOR_AOT_PARAMETERS) {
  const AotArguments a = THOR_AOT_ARGUMENTS;
  const char* const stored = a.Activations(0);
  if (const int status = a.Check({stored, kF32, kF32, kF32, stored, kF32, kF32})) return status;
  const int64_t rows = a.Rows(0), features = a.Dim(0, -1);
  if (a.Elements(1) != features || a.Elements(2) != features || a.Elements(3) != 1 || !a.SameShape(0, 4) ||
      a.Elements(5) != rows || a.Elements(6) != rows)
    return THOR_BAD_SHAPE;
  const auto call = [&](auto forward, auto* x, auto* y) {
    return forward(x, a.Data<float>(1), a.Data<float>(2), *a.Data<float>(3), rows, features, y, a.Data<float>(5),
                   a.Data<float>(6), 0);
  };
  return a.Is(0, kF32) ? call(thor_layer_norm_f32, a.Data<float>(0), a.Data<float>(4))
                       : call(thor_layer_norm_bf16, a.Data<uint16_t>(0), a.Data<uint16_t>(4));
}

int thor_layer_norm_grad(THOR_AOT_PARAMETERS) {
  const AotArguments a = THOR_AOT_ARGUMENTS;
  const char* const stored = a.Activations(1);
  if (const int status = a.Check({stored, stored, kF32, kF32, kF32, stored, kF32, kF32})) return status;
  const int64_t rows = a.Rows(1), features = a.Dim(1, -1);
  if (!a.SameShape(0, 1) || a.Elements(2) != features || a.Elements(3) != rows || a.Elements(4) != rows ||
      !a.SameShape(1, 5) || a.Elements(6) != features || a.Elements(7) != features)
    return THOR_BAD_SHAPE;
  const auto call = [&](auto backward, auto* dy, auto* x, auto* dx) {
    return backward(dy, x, a.Data<float>(2), a.Data<float>(3), a.Data<float>(4), rows, features, dx, a.Data<float>(6),
                    a.Data<float>(7), 0);
  };
  return a.Is(1, kF32) ? call(thor_layer_norm_grad_f32, a.Data<float>(0), a.Data<float>(1), a.Data<float>(5))
                       : call(thor_layer_norm_grad_bf16, a.Data<uint16_t>(0), a.Data<uint16_t>(1), a.Data<uint16_t>(5));
}

}  // extern "C"
