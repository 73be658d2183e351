#include "bias_gelu/bias_gelu.h"

#include "bias_gelu/implementation.h"
#include "common/aot.h"
#include "common/dispatch.h"
#include "common/row_chunks.h"

namespace {

constexpr const char* kF32 = "float32";

int CheckSizes(int64_t rows, int64_t features) {
  return features < 1 || !thor::CouldExist({rows, features}) ? THOR_BAD_SIZE : THOR_OK;
}

template <typename T>
int Forward(const thor::BiasGeluRows<T>& implementation, const T* x, const float* bias, int64_t rows, int64_t features,
            T* y, int threads) {
  if (const int status = CheckSizes(rows, features)) return status;
  if (rows > 0 && (!x || !bias || !y)) return THOR_NULL_POINTER;
  thor::ParallelForRows(rows, features, threads, [&](int64_t begin, int64_t end) {
    implementation.forward(x + begin * features, bias, end - begin, features, y + begin * features);
  });
  return THOR_OK;
}

template <typename T>
int Backward(const thor::BiasGeluRows<T>& implementation, const T* dy, const T* x, const float* bias, int64_t rows,
             int64_t features, T* dx, float* dbias, int threads) {
  if (const int status = CheckSizes(rows, features)) return status;
  if (!dbias || (rows > 0 && (!dy || !x || !bias || !dx))) return THOR_NULL_POINTER;
  float* const sums[] = {dbias};
  return thor::SumOverRowChunks(rows, features, sums, threads, [&](int64_t begin, int64_t end, float* const* partial) {
    const int64_t first = begin * features;
    implementation.backward(dy + first, x + first, bias, end - begin, features, dx + first, partial[0]);
  });
}

}  // namespace

extern "C" {

int thor_bias_gelu_f32(const float* x, const float* bias, int64_t rows, int64_t features, float* y, int threads) {
  return Forward(THOR_CHOOSE(thor::bias_gelu).f32, x, bias, rows, features, y, threads);
}

int thor_bias_gelu_bf16(const uint16_t* x, const float* bias, int64_t rows, int64_t features, uint16_t* y,
                        int threads) {
  return Forward(THOR_CHOOSE(thor::bias_gelu).bf16, x, bias, rows, features, y, threads);
}

int thor_bias_gelu_grad_f32(const float* dy, const float* x, const float* bias, int64_t rows, int64_t features,
                            float* dx, float* dbias, int threads) {
  return Backward(THOR_CHOOSE(thor::bias_gelu).f32, dy, x, bias, rows, features, dx, dbias, threads);
}

int thor_bias_gelu_grad_bf16(const uint16_t* dy, const uint16_t* x, const float* bias, int64_t rows, int64_t features,
                             uint16_t* dx, float* dbias, int threads) {
  return Backward(THOR_CHOOSE(thor::bias_gelu).bf16, dy, x, bias, rows, features, dx, dbias, threads);
}

int thor_bias_gelu(THOR_AOT_PARAMETERS) {
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  const char* const stored = a.Activations(0);
  if (const int status = a.Check({stored, kF32, stored})) return status;
  if (a.Elements(1) != a.Dim(0, -1) || !a.SameShape(0, 2)) return THOR_BAD_SHAPE;
  const auto call = [&](auto forward, auto* x, auto* y) {
    return forward(x, a.Data<float>(1), a.Rows(0), a.Dim(0, -1), y, 0);
  };
  return a.Is(0, kF32) ? call(thor_bias_gelu_f32, a.Data<float>(0), a.Data<float>(2))
                       : call(thor_bias_gelu_bf16, a.Data<uint16_t>(0), a.Data<uint16_t>(2));
}

int thor_bias_gelu_grad(THOR_AOT_PARAMETERS) {
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  const char* const stored = a.Activations(1);
  if (const int status = a.Check({stored, stored, kF32, stored, kF32})) return status;
  const int64_t features = a.Dim(1, -1);
  if (!a.SameShape(0, 1) || a.Elements(2) != features || !a.SameShape(1, 3) || a.Elements(4) != features)
    return THOR_BAD_SHAPE;
  const auto call = [&](auto backward, auto* dy, auto* x, auto* dx) {
    return backward(dy, x, a.Data<float>(2), a.Rows(1), features, dx, a.Data<float>(4), 0);
  };
  return a.Is(1, kF32) ? call(thor_bias_gelu_grad_f32, a.Data<float>(0), a.Data<float>(1), a.Data<float>(3))
                       : call(thor_bias_gelu_grad_bf16, a.Data<uint16_t>(0), a.Data<uint16_t>(1), a.Data<uint16_t>(3));
}

}  // extern "C"
