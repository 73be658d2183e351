#include "factor_average/factor_average.h"

#include "common/dispatch.h"
#include "common/parts.h"
#include "common/scratch.h"
#include "factor_average/implementation.h"

namespace {

constexpr const char* kF32 = "float32";

// Sum over the diagonal of a block [edge, edge] of scale times its elements, each product rounded.
double Trace(const float* block, int64_t edge, float scale) {
  double sum = 0;
  for (int64_t i = 0; i < edge; ++i) sum += scale * block[i * (edge + 1)];
  return sum;
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
  const int64_t size = edge * edge;
  double before = 0, after = 0, lost = 0;
  for (int64_t q = 0; q < blocks; ++q) {
    before += Trace(factor + q * size, edge, 1);
    left_out[q] = std::isfinite(static_cast<float>(Trace(captured + q * size, edge, scale))) ? 0 : 1;
    lost += left_out[q];
  }
  const float kept = before > 0 ? keep : 0;
  const auto average = THOR_CHOOSE(thor::factor_average);
  thor::ParallelForParts(blocks, size, threads, [&](int64_t q, int64_t first, int64_t count) {
    const int64_t i = q * size + first;
    if (left_out[q] == 0)
      average(factor + i, captured + i, count, kept, 1 - kept, scale, next + i);
    else if (next != factor)
      std::copy_n(factor + i, count, next + i);
  });
  for (int64_t q = 0; q < blocks; ++q) after += Trace(next + q * size, edge, 1);
  summary[0] = static_cast<float>(after);
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
