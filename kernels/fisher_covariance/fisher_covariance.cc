#include "fisher_covariance/fisher_covariance.h"

#include <algorithm>

#include "common/aot.h"
#include "common/dispatch.h"
#include "common/parallel.h"
#include "common/scratch.h"
#include "fisher_covariance/implementation.h"

namespace {

int64_t CeilDivide(int64_t x, int64_t y) { return (x + y - 1) / y; }

// The largest tiles with which every thread has its share. An element is the same sum in any tile.
template <typename Arguments>
void ChooseTiles(int64_t blocks, int64_t threads, Arguments* a) {
  int64_t tiles = CeilDivide(a->block, a->kMaxEdge);
  while (blocks % threads != 0 && blocks * tiles * tiles < 4 * threads && a->block >= 2 * tiles * a->kMinEdge)
    tiles *= 2;
  a->edge = CeilDivide(CeilDivide(a->block, tiles), 16) * 16;
  a->tiles = CeilDivide(a->block, a->edge);
}

template <typename T>
int Run(thor::FisherCovarianceTiles<T> compute, const T* x, int64_t rows, int64_t features, int64_t block, float* out,
        int threads) {
  using Arguments = thor::FisherCovarianceArguments<T>;
  if (!thor::CouldExist({rows, features})) return THOR_BAD_SIZE;
  if (block < 1) return THOR_BAD_BLOCK;
  if (!thor::CouldExist({features, block, 2}) || !thor::CouldExist({block, block, 2})) return THOR_BAD_SIZE;
  if ((x == nullptr && rows != 0 && features != 0) || (out == nullptr && features != 0)) return THOR_NULL_POINTER;
  if (features == 0) return THOR_OK;
  const int64_t blocks = CeilDivide(features, block);
  if (rows == 0) {
    std::fill_n(out, blocks * block * block, 0.0f);
    return THOR_OK;
  }
  Arguments arguments{x, rows, features, block, out, 0, 0};
  ChooseTiles(blocks, thor::Workers(INT64_MAX, threads), &arguments);
  const int64_t units = blocks * arguments.Units();
  const thor::Scratch scratch(thor::Workers(units, threads), Arguments::kScratch);
  if (scratch.Failed()) return THOR_OUT_OF_MEMORY;
  thor::ParallelFor(units, threads, [&](int64_t begin, int64_t end, int worker) {
    compute(arguments, begin, end, scratch.ForWorker(worker));
  });
  return THOR_OK;
}

}  // namespace

extern "C" {

int thor_fisher_covariance_f32(const float* x, int64_t rows, int64_t features, int64_t block, float* out, int threads) {
  return Run(THOR_CHOOSE(thor::fisher_covariance).f32, x, rows, features, block, out, threads);
}

int thor_fisher_covariance_bf16(const uint16_t* x, int64_t rows, int64_t features, int64_t block, float* out,
                                int threads) {
  return Run(THOR_CHOOSE(thor::fisher_covariance).bf16, x, rows, features, block, out, threads);
}

int thor_fisher_covariance(THOR_AOT_PARAMETERS) {
  (void)stream, (void)extra;
  const thor::AotArguments arguments = THOR_AOT_ARGUMENTS;
  const bool bf16 = nparam == 2 && dtypes != nullptr && arguments.Is(0, "bfloat16");
  const int status = arguments.Check({bf16 ? "bfloat16" : "float32", "float32"});
  if (status != THOR_OK) return status;
  if (arguments.Rank(0) < 1 || arguments.Rank(1) != 3) return THOR_BAD_SHAPE;
  const int64_t features = arguments.Dim(0, -1), block = arguments.Dim(1, 2);
  if (block < 1 || arguments.Dim(1, 1) != block || arguments.Dim(1, 0) != CeilDivide(features, block))
    return THOR_BAD_BLOCK;
  float* const out = arguments.Data<float>(1);
  if (bf16) return thor_fisher_covariance_bf16(arguments.Data<uint16_t>(0), arguments.Rows(0), features, block, out, 0);
  return thor_fisher_covariance_f32(arguments.Data<float>(0), arguments.Rows(0), features, block, out, 0);
}

}  // extern "C"
