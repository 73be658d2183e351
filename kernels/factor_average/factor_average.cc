#include "factor_average/factor_average.h"

#include "common/dispatch.h"
#include "common/parts.h"
#include "common/scratch.h"
#include "factor_average/implementation.h"

namespace {

constexpr const char* kF32 = "float32";

struct Problem {
  const float *factor, *captured;
  int64_t blocks, edge;
  float keep, scale;
};

// term(i) for the position i of every element on the diagonal of block q.
template <typename Term>
void ForDiagonal(const Problem& p, int64_t q, Term&& term) {
  for (int64_t i = q * p.edge * p.edge, left = p.edge; left > 0; --left, i += p.edge + 1) term(i);
}

bool HasTrace(const Problem& p) {
  double trace = 0;
  for (int64_t q = 0; q < p.blocks; ++q) ForDiagonal(p, q, [&](int64_t i) { trace += p.factor[i]; });
  return trace > 0;
}

bool IsFinite(const Problem& p, int64_t q) {
  bool finite = true;
  ForDiagonal(p, q, [&](int64_t i) { finite = finite && std::isfinite(p.scale * p.captured[i]); });
  return finite;
}

// The trace of what a sound block becomes, by the arithmetic of body.h.
double Trace(const Problem& p, int64_t q, float keep, bool sound) {
  double trace = 0;
  ForDiagonal(p, q, [&](int64_t i) {
    const float added = (1 - keep) * (p.scale * p.captured[i]);
    trace += sound ? keep * p.factor[i] + added : p.factor[i];
  });
  return trace;
}

}  // namespace

extern "C" {

int thor_factor_average_f32(const float* factor, const float* captured, int64_t blocks, int64_t edge, float keep,
                            float scale, float* next, float* summary, int threads) {
  if (edge < 1) return THOR_BAD_BLOCK;
  if (!thor::CouldExist({blocks, edge, edge})) return THOR_BAD_SIZE;
  if (!thor::IsFiniteNotNegative(keep) || keep > 1 || !thor::IsFiniteNotNegative(scale)) return THOR_BAD_VALUE;
  if (!summary || (blocks > 0 && (!factor || !captured || !next))) return THOR_NULL_POINTER;
  const thor::Scratch scratch(1, blocks);
  if (scratch.Failed()) return THOR_OUT_OF_MEMORY;
  float* const left_out = scratch.ForWorker(0);
  const Problem p{factor, captured, blocks, edge, keep, scale};
  const float kept = HasTrace(p) ? keep : 0;
  double trace = 0, lost = 0;
  for (int64_t q = 0; q < blocks; ++q) {
    left_out[q] = IsFinite(p, q) ? 0 : 1;
    trace += Trace(p, q, kept, left_out[q] == 0);
    lost += left_out[q];
  }
  const auto average = THOR_CHOOSE(thor::factor_average);
  thor::ParallelForParts(blocks, edge * edge, threads, [&](int64_t q, int64_t first, int64_t count) {
    const int64_t i = q * edge * edge + first;
    if (left_out[q] == 0)
      average(factor + i, captured + i, count, kept, 1 - kept, scale, next + i);
    else if (next != factor)
      std::copy_n(factor + i, count, next + i);
  });
  summary[0] = static_cast<float>(trace);
  summary[1] = static_cast<float>(lost);
  return THOR_OK;
}

int thor_factor_average(THOR_AOT_PARAMETERS) {
  (void)stream, (void)extra;
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  if (const int status = a.Check({kF32, kF32, kF32, kF32, kF32})) return status;
  if (a.Rank(0) != 3 || !a.SameShape(0, 1)) return THOR_BAD_SHAPE;
  if (a.Elements(2) != 1 || a.Elements(3) != 1 || a.Elements(4) != 2) return THOR_BAD_SHAPE;
  if (a.Dim(0, 1) != a.Dim(0, 2)) return THOR_BAD_BLOCK;
  float* const factor = a.Data<float>(0);
  return thor_factor_average_f32(factor, a.Data<float>(1), a.Dim(0, 0), a.Dim(0, 1), *a.Data<float>(2),
                                 *a.Data<float>(3), factor, a.Data<float>(4), 0);
}

}  // extern "C"
