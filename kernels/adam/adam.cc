#include "adam/adam.h"

#include "adam/implementation.h"
#include "common/dispatch.h"
#include "common/parts.h"

namespace {

constexpr const char* kF32 = "float32";

int CheckValues(const float* betas, float correction, float eps) {
  for (int i = 0; i < 4; ++i)
    if (!thor::IsFiniteNotNegative(betas[i])) return THOR_BAD_VALUE;
  return thor::IsFiniteNotNegative(correction) && thor::IsFiniteNotNegative(eps) ? THOR_OK : THOR_BAD_VALUE;
}

}  // namespace

extern "C" {

int thor_adam_f32(const float* first, const float* second, const float* gradient, const float* factors, int64_t parts,
                  int64_t elements, const float* betas, float correction, float eps, float* next_first,
                  float* next_second, float* direction, int threads) {
  if (!thor::CouldExist({parts, elements})) return THOR_BAD_SIZE;
  if (!betas) return THOR_NULL_POINTER;
  if (const int status = CheckValues(betas, correction, eps)) return status;
  if (parts == 0 || elements == 0) return THOR_OK;
  if (!first || !second || !gradient || !factors || !next_first || !next_second || !direction) return THOR_NULL_POINTER;
  const auto move = THOR_CHOOSE(thor::adam);
  thor::ParallelForParts(parts, elements, threads, [&](int64_t part, int64_t begin, int64_t count) {
    const int64_t i = part * elements + begin;
    const float f = factors[part];
    const thor::AdamWeights weights = {betas[0], betas[1] * f, betas[2], betas[3] * f * f, correction, eps};
    move(first + i, second + i, gradient + i, count, weights, next_first + i, next_second + i, direction + i);
  });
  return THOR_OK;
}

int thor_adam(THOR_AOT_PARAMETERS) {
  (void)stream, (void)extra;
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  if (const int status = a.Check({kF32, kF32, kF32, kF32, kF32, kF32, kF32, kF32})) return status;
  if (!a.SameShape(0, 1) || !a.SameShape(0, 2) || !a.SameShape(0, 7) || !thor::FallsIntoParts(a, 0, 3))
    return THOR_BAD_SHAPE;
  if (a.Elements(4) != 4 || a.Elements(5) != 1 || a.Elements(6) != 1) return THOR_BAD_SHAPE;
  const int64_t parts = a.Elements(3);
  return thor_adam_f32(a.Data<float>(0), a.Data<float>(1), a.Data<float>(2), a.Data<float>(3), parts,
                       a.Elements(0) / parts, a.Data<float>(4), *a.Data<float>(5), *a.Data<float>(6), a.Data<float>(0),
                       a.Data<float>(1), a.Data<float>(7), 0);
}

}  // extern "C"
