#include "inverse_update/inverse_update.h"

#include <algorithm>

#include "common/dispatch.h"
#include "common/parts.h"
#include "common/scratch.h"
#include "inverse_update/implementation.h"

namespace {

constexpr const char* kF32 = "float32";

}  // namespace

extern "C" {

int thor_inverse_update_f32(const float* inverse, const float* block, const float* damping, const float* candidate,
                            const int32_t* status, int64_t blocks, int64_t edge, float limit, float* next,
                            float* condition, int threads) {
  if (edge < 1) return THOR_BAD_BLOCK;
  if (!thor::CouldExist({blocks, edge, edge})) return THOR_BAD_SIZE;
  if (!thor::IsFiniteNotNegative(limit)) return THOR_BAD_VALUE;
  if (blocks == 0) return THOR_OK;
  if (!inverse || !block || !damping || !candidate || !status || !next || !condition) return THOR_NULL_POINTER;
  const thor::Scratch scratch(thor::Workers(blocks, threads), edge);
  if (scratch.Failed()) return THOR_OUT_OF_MEMORY;
  const auto norm1 = THOR_CHOOSE(thor::inverse_update);
  thor::ParallelFor(blocks, threads, [&](int64_t begin, int64_t end, int worker) {
    float* const sums = scratch.ForWorker(worker);
    for (int64_t q = begin; q < end; ++q) {
      const int64_t size = edge * edge, i = q * size;
      condition[q] = (norm1(block + i, edge, sums) + damping[q]) * norm1(candidate + i, edge, sums);
      const float* const taken = status[q] == 0 && condition[q] <= limit ? candidate + i : inverse + i;
      if (taken != next + i) std::copy_n(taken, size, next + i);
    }
  });
  return THOR_OK;
}

int thor_inverse_update(THOR_AOT_PARAMETERS) {
  (void)stream, (void)extra;
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  if (const int status = a.Check({kF32, kF32, kF32, kF32, "int32", kF32, kF32})) return status;
  if (a.Rank(0) != 3 || !a.SameShape(0, 1) || !a.SameShape(0, 3)) return THOR_BAD_SHAPE;
  const int64_t blocks = a.Dim(0, 0), edge = a.Dim(0, 1);
  if (a.Dim(0, 2) != edge) return THOR_BAD_BLOCK;
  if (a.Elements(2) != blocks || a.Elements(4) != blocks || a.Elements(6) != blocks) return THOR_BAD_SHAPE;
  if (a.Elements(5) != 1) return THOR_BAD_SHAPE;
  float* const inverse = a.Data<float>(0);
  return thor_inverse_update_f32(inverse, a.Data<float>(1), a.Data<float>(2), a.Data<float>(3), a.Data<int32_t>(4),
                                 blocks, edge, *a.Data<float>(5), inverse, a.Data<float>(6), 0);
}

}  // extern "C"
