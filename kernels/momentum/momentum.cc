#include "momentum/momentum.h"

#include "common/dispatch.h"
#include "common/parts.h"
#include "momentum/implementation.h"

namespace {

constexpr const char* kF32 = "float32";

struct Problem {
  const float *average, *x, *factors;
  int64_t parts, elements;
  float decay, fresh;
  float *next, *direction;
};

int Run(const Problem& p, thor::MomentumLoop loop, int threads) {
  if (!thor::CouldExist({p.parts, p.elements})) return THOR_BAD_SIZE;
  if (!thor::IsFiniteNotNegative(p.decay) || !thor::IsFiniteNotNegative(p.fresh)) return THOR_BAD_VALUE;
  if (p.parts == 0 || p.elements == 0) return THOR_OK;
  if (!p.average || !p.x || !p.factors || !p.next || !p.direction) return THOR_NULL_POINTER;
  thor::ParallelForParts(p.parts, p.elements, threads, [&](int64_t part, int64_t first, int64_t count) {
    const int64_t i = part * p.elements + first;
    loop(p.average + i, p.x + i, count, p.decay, p.fresh * p.factors[part], p.next + i, p.direction + i);
  });
  return THOR_OK;
}

// Inputs average, x, factors, `settings` numbers; output direction.
int CheckTensors(const thor::AotArguments& a, int64_t settings) {
  if (const int status = a.Check({kF32, kF32, kF32, kF32, kF32})) return status;
  const bool fit = a.SameShape(0, 1) && a.SameShape(0, 4) && thor::FallsIntoParts(a, 0, 2);
  return fit && a.Elements(3) == settings ? THOR_OK : THOR_BAD_SHAPE;
}

}  // namespace

extern "C" {

int thor_nesterov_momentum_f32(const float* average, const float* x, const float* factors, int64_t parts,
                               int64_t elements, float decay, float fresh, float* next, float* direction, int threads) {
  const Problem problem{average, x, factors, parts, elements, decay, fresh, next, direction};
  return Run(problem, THOR_CHOOSE(thor::momentum).nesterov, threads);
}

int thor_heavy_ball_f32(const float* average, const float* x, const float* factors, int64_t parts, int64_t elements,
                        float decay, float* next, float* direction, int threads) {
  const Problem problem{average, x, factors, parts, elements, decay, 1.0f, next, direction};
  return Run(problem, THOR_CHOOSE(thor::momentum).heavy_ball, threads);
}

int thor_nesterov_momentum(THOR_AOT_PARAMETERS) {
  (void)stream, (void)extra;
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  if (const int status = CheckTensors(a, 2)) return status;
  const int64_t parts = a.Elements(2);
  return thor_nesterov_momentum_f32(a.Data<float>(0), a.Data<float>(1), a.Data<float>(2), parts, a.Elements(0) / parts,
                                    a.Data<float>(3)[0], a.Data<float>(3)[1], a.Data<float>(0), a.Data<float>(4), 0);
}

int thor_heavy_ball(THOR_AOT_PARAMETERS) {
  (void)stream, (void)extra;
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  if (const int status = CheckTensors(a, 1)) return status;
  const int64_t parts = a.Elements(2);
  return thor_heavy_ball_f32(a.Data<float>(0), a.Data<float>(1), a.Data<float>(2), parts, a.Elements(0) / parts,
                             a.Data<float>(3)[0], a.Data<float>(0), a.Data<float>(4), 0);
}

}  // extern "C"
