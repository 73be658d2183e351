#include "weight_update/weight_update.h"

#include "common/dispatch.h"
#include "common/parts.h"
#include "weight_update/implementation.h"

namespace {

constexpr const char* kF32 = "float32";

}  // namespace

extern "C" {

int thor_weight_update_f32(const float* weight, const float* direction, const float* factors, int64_t parts,
                           int64_t elements, float rate, float decay, float* next, int threads) {
  if (!thor::CouldExist({parts, elements})) return THOR_BAD_SIZE;
  if (!thor::IsFiniteNotNegative(rate) || !thor::IsFiniteNotNegative(decay)) return THOR_BAD_VALUE;
  if (parts == 0 || elements == 0) return THOR_OK;
  if (!weight || !direction || !factors || !next) return THOR_NULL_POINTER;
  const auto move = THOR_CHOOSE(thor::weight_update);
  const auto kept = static_cast<float>(1.0 - static_cast<double>(rate) * decay);
  thor::ParallelForParts(parts, elements, threads, [&](int64_t part, int64_t first, int64_t count) {
    const int64_t i = part * elements + first;
    move(weight + i, direction + i, count, kept, rate * factors[part], next + i);
  });
  return THOR_OK;
}

int thor_weight_update(THOR_AOT_PARAMETERS) {
  (void)stream, (void)extra;
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  if (const int status = a.Check({kF32, kF32, kF32, kF32, kF32, kF32})) return status;
  if (!a.SameShape(0, 1) || !thor::FallsIntoParts(a, 0, 2)) return THOR_BAD_SHAPE;
  if (a.Elements(3) != 1 || a.Elements(4) != 1 || a.Elements(5) != 1) return THOR_BAD_SHAPE;
  const int64_t parts = a.Elements(2);
  const float rate = *a.Data<float>(3);
  const int status = thor_weight_update_f32(a.Data<float>(0), a.Data<float>(1), a.Data<float>(2), parts,
                                            a.Elements(0) / parts, rate, *a.Data<float>(4), a.Data<float>(0), 0);
  if (status == THOR_OK) *a.Data<float>(5) = rate;
  return status;
}

}  // extern "C"
