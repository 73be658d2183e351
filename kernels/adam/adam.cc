#include "adam/adam.h"

#include "adam/implementation.h"
#include "common/dispatch.h"
#include "common/parts.h"

namespace {

constexpr const char* kF32 = "float32";
constexpr float kLargest = 9223372036854775808.0f;  // 2^63, whose square a float holds

struct Problem {
  const float* factors;
  int64_t parts, elements;
  const float* betas;
  float correction, eps, rate, decay;
};

int CheckNumbers(const Problem& p) {
  for (const float number : {p.betas[0], p.betas[1], p.betas[2], p.betas[3], p.correction, p.eps, p.rate, p.decay})
    if (!thor::IsFiniteNotNegative(number)) return THOR_BAD_VALUE;
  return THOR_OK;
}

int Run(const Problem& p, const thor::AdamTensors& t, thor::AdamLoop loop, int threads) {
  if (!thor::CouldExist({p.parts, p.elements})) return THOR_BAD_SIZE;
  if (!p.betas) return THOR_NULL_POINTER;
  if (const int status = CheckNumbers(p)) return status;
  if (p.parts == 0 || p.elements == 0) return THOR_OK;
  if (!t.first || !t.second || !t.gradient || !p.factors || !t.next_first || !t.next_second || !t.result)
    return THOR_NULL_POINTER;
  const auto kept = static_cast<float>(1.0 - static_cast<double>(p.rate) * p.decay);
  thor::ParallelForParts(p.parts, p.elements, threads, [&](int64_t part, int64_t first, int64_t count) {
    const float f = p.factors[part];
    const float* const b = p.betas;
    loop(t, part * p.elements + first, count,
         {b[0], b[1] * f, b[2], b[3] * f * f, p.correction, p.eps, kept, p.rate, kLargest / std::fabs(f)});
  });
  return THOR_OK;
}

// Tensors first, second, gradient, factors, betas, correction, eps of an entry point, from tensor `from` on.
int CheckTensors(const thor::AotArguments& a, int from) {
  const bool fit =
      a.SameShape(from, from + 1) && a.SameShape(from, from + 2) && thor::FallsIntoParts(a, from, from + 3);
  if (!fit || a.Elements(from + 4) != 4) return THOR_BAD_SHAPE;
  return a.Elements(from + 5) == 1 && a.Elements(from + 6) == 1 ? THOR_OK : THOR_BAD_SHAPE;
}

}  // namespace

extern "C" {

int thor_adam_f32(const float* first, const float* second, const float* gradient, const float* factors, int64_t parts,
                  int64_t elements, const float* betas, float correction, float eps, float* next_first,
                  float* next_second, float* direction, int threads) {
  const Problem problem{factors, parts, elements, betas, correction, eps, 0.0f, 0.0f};
  const thor::AdamTensors tensors{nullptr, first, second, gradient, next_first, next_second, direction};
  return Run(problem, tensors, THOR_CHOOSE(thor::adam).direction, threads);
}

int thor_adam_update_f32(const float* weight, const float* first, const float* second, const float* gradient,
                         const float* factors, int64_t parts, int64_t elements, const float* betas, float correction,
                         float eps, float rate, float decay, float* next_weight, float* next_first, float* next_second,
                         int threads) {
  if (!weight && parts > 0 && elements > 0) return THOR_NULL_POINTER;
  const Problem problem{factors, parts, elements, betas, correction, eps, rate, decay};
  const thor::AdamTensors tensors{weight, first, second, gradient, next_first, next_second, next_weight};
  return Run(problem, tensors, THOR_CHOOSE(thor::adam).update, threads);
}

int thor_adam(THOR_AOT_PARAMETERS) {
  (void)stream, (void)extra;
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  if (const int status = a.Check({kF32, kF32, kF32, kF32, kF32, kF32, kF32, kF32})) return status;
  if (const int status = CheckTensors(a, 0)) return status;
  if (!a.SameShape(0, 7)) return THOR_BAD_SHAPE;
  const int64_t parts = a.Elements(3);
  return thor_adam_f32(a.Data<float>(0), a.Data<float>(1), a.Data<float>(2), a.Data<float>(3), parts,
                       a.Elements(0) / parts, a.Data<float>(4), *a.Data<float>(5), *a.Data<float>(6), a.Data<float>(0),
                       a.Data<float>(1), a.Data<float>(7), 0);
}

int thor_adam_update(THOR_AOT_PARAMETERS) {
  (void)stream, (void)extra;
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  if (const int status = a.Check({kF32, kF32, kF32, kF32, kF32, kF32, kF32, kF32, kF32, kF32, kF32})) return status;
  if (const int status = CheckTensors(a, 1)) return status;
  if (!a.SameShape(0, 1) || a.Elements(8) != 1 || a.Elements(9) != 1 || a.Elements(10) != 1) return THOR_BAD_SHAPE;
  const int64_t parts = a.Elements(4);
  const float rate = *a.Data<float>(8);
  const int status =
      thor_adam_update_f32(a.Data<float>(0), a.Data<float>(1), a.Data<float>(2), a.Data<float>(3), a.Data<float>(4),
                           parts, a.Elements(0) / parts, a.Data<float>(5), *a.Data<float>(6), *a.Data<float>(7), rate,
                           *a.Data<float>(9), a.Data<float>(0), a.Data<float>(1), a.Data<float>(2), 0);
  if (status == THOR_OK) *a.Data<float>(10) = rate;
  return status;
}

}  // extern "C"
