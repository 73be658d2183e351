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

}  // namespace

extern "C" {

int thor_bias_gelu_f32(const float* x, const float* bias, int64_t rows, int64_t features, float* y, int threads) {
  if (const int status = CheckSizes(rows, features)) return status;
  if (rows > 0 && (!x || !bias || !y)) return THOR_NULL_POINTER;
  const auto implementation = THOR_CHOOSE(thor::bias_gelu).forward;
  thor::ParallelForRows(rows, features, threads, [&](int64_t begin, int64_t end) {
    implementation(x + begin * features, bias, end - begin, features, y + begin * features);
  });
  return THOR_OK;
}

int thor_bias_gelu_grad_f32(const float* dy, const float* x, const float* bias, int64_t rows, int64_t features,
                            float* dx, float* dbias, int threads) {
  if (const int status = CheckSizes(rows, features)) return status;
  if (!dbias || (rows > 0 && (!dy || !x || !bias || !dx))) return THOR_NULL_POINTER;
  const auto implementation = THOR_CHOOSE(thor::bias_gelu).backward;
  float* const sums[] = {dbias};
  return thor::SumOverRowChunks(rows, features, sums, threads, [&](int64_t begin, int64_t end, float* const* partial) {
    const int64_t first = begin * features;
    implementation(dy + first, x + first, bias, end - begin, features, dx + first, partial[0]);
  });
}

int thor_bias_gelu(THOR_AOT_PARAMETERS) {
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  if (const int status = a.Check({kF32, kF32, kF32})) return status;
  if (a.Elements(1) != a.Dim(0, -1) || !a.SameShape(0, 2)) return THOR_BAD_SHAPE;
  return thor_bias_gelu_f32(a.Data<float>(0), a.Data<float>(1), a.Rows(0), a.Dim(0, -1), a.Data<float>(2), 0);
}

int thor_bias_gelu_grad(THOR_AOT_PARAMETERS) {
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  if (const int status = a.Check({kF32, kF32, kF32, kF32, kF32})) return status;
  const int64_t features = a.Dim(1, -1);
  if (!a.SameShape(0, 1) || a.Elements(2) != features || !a.SameShape(1, 3) || a.Elements(4) != features)
    return THOR_BAD_SHAPE;
  return thor_bias_gelu_grad_f32(a.Data<float>(0), a.Data<float>(1), a.Data<float>(2), a.Rows(1), features,
                                 a.Data<float>(3), a.Data<float>(4), 0);
}

}  // extern "C"
