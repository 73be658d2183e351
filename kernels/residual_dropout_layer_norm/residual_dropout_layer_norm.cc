#include "residual_dropout_layer_norm/residual_dropout_layer_norm.h"

#include <type_traits>

#include "common/aot.h"
#include "common/dispatch.h"
#include "common/row_chunks.h"
#include "residual_dropout_layer_norm/implementation.h"

namespace {

constexpr const char *kF32 = "float32", *kI32 = "int32";

// What both directions share; *dropout is set where all is well.
int CheckArguments(float probability, const int32_t* seed, int32_t site, int64_t rows, int64_t features,
                   thor::Dropout* dropout) {
  if (features < 1 || !thor::CouldExist({rows, features})) return THOR_BAD_SIZE;
  if (!seed) return THOR_NULL_POINTER;
  return thor::MakeDropout(probability, seed, site, rows * features, dropout) ? THOR_OK : THOR_BAD_VALUE;
}

template <typename T>
int Forward(const thor::ResidualDropoutRows<T>& implementation, thor::ResidualDropoutArguments<T> a, float probability,
            const int32_t* seed, int32_t site, int64_t rows, int threads) {
  if (const int status = CheckArguments(probability, seed, site, rows, a.norm.features, &a.dropout)) return status;
  if (!(a.norm.eps >= 0)) return THOR_BAD_VALUE;
  if (rows == 0) return THOR_OK;
  if (!a.x || !a.bias || !a.residual || !a.sum || !a.norm.gamma || !a.norm.beta || !a.norm.y || !a.norm.mean ||
      !a.norm.rstd)
    return THOR_NULL_POINTER;
  thor::ParallelForRows(rows, a.norm.features, threads,
                        [&](int64_t begin, int64_t end) { implementation.forward(a, begin, end); });
  return THOR_OK;
}

template <typename T>
int Backward(const thor::ResidualDropoutRows<T>& implementation, thor::ResidualDropoutGradArguments<T> a,
             float probability, const int32_t* seed, int32_t site, int64_t rows, float* dbias, float* dgamma,
             float* dbeta, int threads) {
  if (const int status = CheckArguments(probability, seed, site, rows, a.norm.features, &a.dropout)) return status;
  if (!dbias || !dgamma || !dbeta) return THOR_NULL_POINTER;
  if (rows > 0 && (!a.dx || !a.norm.dy || !a.norm.x || !a.norm.gamma || !a.norm.mean || !a.norm.rstd || !a.norm.dx))
    return THOR_NULL_POINTER;
  float* const sums[] = {dbias, dgamma, dbeta};
  return thor::SumOverRowChunks(rows, a.norm.features, sums, threads,
                                [&](int64_t begin, int64_t end, float* const* partial) {
                                  implementation.backward(a, begin, end, partial[0], partial[1], partial[2]);
                                });
}

}  // namespace

extern "C" {

int thor_residual_dropout_layer_norm_f32(const float* x, const float* bias, const float* residual, const float* gamma,
                                         const float* beta, float eps, float probability, const int32_t* seed,
                                         int32_t site, int64_t rows, int64_t features, float* y, float* sum,
                                         float* mean, float* rstd, int threads) {
  return Forward<float>(THOR_CHOOSE(thor::residual_dropout_layer_norm).f32,
                        {{},
                         x,
                         bias,
                         residual,
                         sum,
                         {sum, gamma, beta, eps, features, y, mean, rstd, thor::Streams<float>(rows, features)}},
                        probability, seed, site, rows, threads);
}

int thor_residual_dropout_layer_norm_bf16(const uint16_t* x, const float* bias, const uint16_t* residual,
                                          const float* gamma, const float* beta, float eps, float probability,
                                          const int32_t* seed, int32_t site, int64_t rows, int64_t features,
                                          uint16_t* y, uint16_t* sum, float* mean, float* rstd, int threads) {
  return Forward<uint16_t>(THOR_CHOOSE(thor::residual_dropout_layer_norm).bf16,
                           {{},
                            x,
                            bias,
                            residual,
                            sum,
                            {sum, gamma, beta, eps, features, y, mean, rstd, thor::Streams<uint16_t>(rows, features)}},
                           probability, seed, site, rows, threads);
}

int thor_residual_dropout_layer_norm_grad_f32(const float* dy, const float* sum, const float* gamma, const float* mean,
                                              const float* rstd, float probability, const int32_t* seed, int32_t site,
                                              int64_t rows, int64_t features, float* dx, float* dbias, float* dresidual,
                                              float* dgamma, float* dbeta, int threads) {
  return Backward<float>(
      THOR_CHOOSE(thor::residual_dropout_layer_norm).f32,
      {{}, dx, {dy, sum, gamma, mean, rstd, features, dresidual, thor::Streams<float>(rows, features)}}, probability,
      seed, site, rows, dbias, dgamma, dbeta, threads);
}

int thor_residual_dropout_layer_norm_grad_bf16(const uint16_t* dy, const uint16_t* sum, const float* gamma,
                                               const float* mean, const float* rstd, float probability,
                                               const int32_t* seed, int32_t site, int64_t rows, int64_t features,
                                               uint16_t* dx, float* dbias, uint16_t* dresidual, float* dgamma,
                                               float* dbeta, int threads) {
  return Backward<uint16_t>(
      THOR_CHOOSE(thor::residual_dropout_layer_norm).bf16,
      {{}, dx, {dy, sum, gamma, mean, rstd, features, dresidual, thor::Streams<uint16_t>(rows, features)}}, probability,
      seed, site, rows, dbias, dgamma, dbeta, threads);
}

int thor_residual_dropout_layer_norm(THOR_AOT_PARAMETERS) {
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  const char* const stored = a.Activations(0);
  if (const int status = a.Check({stored, kF32, stored, kF32, kF32, kF32, kI32, kI32, stored, stored, kF32, kF32}))
    return status;
  const int64_t rows = a.Rows(0), features = a.Dim(0, -1);
  if (a.Elements(1) != features || !a.SameShape(0, 2) || a.Elements(3) != features || a.Elements(4) != features ||
      a.Elements(5) != 2 || a.Elements(6) != 4 || a.Elements(7) != 1 || !a.SameShape(0, 8) || !a.SameShape(0, 9) ||
      a.Elements(10) != rows || a.Elements(11) != rows)
    return THOR_BAD_SHAPE;
  const float* scalars = a.Data<float>(5);
  const auto call = [&](auto forward, auto* x) {
    using T = std::remove_pointer_t<decltype(x)>;
    return forward(x, a.Data<float>(1), a.Data<T>(2), a.Data<float>(3), a.Data<float>(4), scalars[0], scalars[1],
                   a.Data<int32_t>(6), *a.Data<int32_t>(7), rows, features, a.Data<T>(8), a.Data<T>(9),
                   a.Data<float>(10), a.Data<float>(11), 0);
  };
  return a.Is(0, kF32) ? call(thor_residual_dropout_layer_norm_f32, a.Data<float>(0))
                       : call(thor_residual_dropout_layer_norm_bf16, a.Data<uint16_t>(0));
}

int thor_residual_dropout_layer_norm_grad(THOR_AOT_PARAMETERS) {
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  const char* const stored = a.Activations(1);
  if (const int status =
          a.Check({stored, stored, kF32, kF32, kF32, kF32, kI32, kI32, stored, kF32, stored, kF32, kF32}))
    return status;
  const int64_t rows = a.Rows(1), features = a.Dim(1, -1);
  if (!a.SameShape(0, 1) || a.Elements(2) != features || a.Elements(3) != rows || a.Elements(4) != rows ||
      a.Elements(5) != 2 || a.Elements(6) != 4 || a.Elements(7) != 1 || !a.SameShape(1, 8) ||
      a.Elements(9) != features || !a.SameShape(1, 10) || a.Elements(11) != features || a.Elements(12) != features)
    return THOR_BAD_SHAPE;
  const auto call = [&](auto backward, auto* sum) {
    using T = std::remove_pointer_t<decltype(sum)>;
    return backward(a.Data<T>(0), sum, a.Data<float>(2), a.Data<float>(3), a.Data<float>(4), a.Data<float>(5)[1],
                    a.Data<int32_t>(6), *a.Data<int32_t>(7), rows, features, a.Data<T>(8), a.Data<float>(9),
                    a.Data<T>(10), a.Data<float>(11), a.Data<float>(12), 0);
  };
  return a.Is(1, kF32) ? call(thor_residual_dropout_layer_norm_grad_f32, a.Data<float>(1))
                       : call(thor_residual_dropout_layer_norm_grad_bf16, a.Data<uint16_t>(1));
}

}  // extern "C"
