#include "soft_threshold/soft_threshold.h"

#include "common/parts.h"
#include "soft_threshold/implementation.h"

extern "C" {

int thor_soft_threshold_f32(const float* x, int64_t elements, float limit, float* result, int threads) {
  if (!thor::CouldExist({elements})) return THOR_BAD_SIZE;
  if (!thor::IsFiniteNotNegative(limit)) return THOR_BAD_VALUE;
  if (elements == 0) return THOR_OK;
  if (!x || !result) return THOR_NULL_POINTER;
  const auto shrink = THOR_CHOOSE(thor::soft_threshold);
  thor::ParallelForParts(1, elements, threads, [&](int64_t, int64_t first, int64_t count) {
    shrink(x + first, count, limit, result + first);
  });
  return THOR_OK;
}

int thor_soft_threshold(THOR_AOT_PARAMETERS) {
  (void)stream, (void)extra;
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  if (const int status = a.Check({"float32", "float32", "float32"})) return status;
  if (a.Elements(1) != 1 || !a.SameShape(0, 2)) return THOR_BAD_SHAPE;
  return thor_soft_threshold_f32(a.Data<float>(0), a.Elements(0), *a.Data<float>(1), a.Data<float>(2), 0);
}

}  // extern "C"
