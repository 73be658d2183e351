#include "fisher_covariance/fisher_covariance.h"

#include <algorithm>
#include <cmath>

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

// The rows that have a weight, found once for all tiles; none are looked for without weights.
class KeptRows {
 public:
  KeptRows(const float* weights, int64_t rows)
      : memory_(1, 1 + kFloats * (weights == nullptr ? 0 : rows)), count_(rows) {
    if (weights == nullptr || memory_.Failed()) return;
    auto* const places = reinterpret_cast<int64_t*>(memory_.ForWorker(0));
    float* const roots = memory_.ForWorker(0) + (kFloats - 1) * rows;
    count_ = 0;
    for (int64_t row = 0; row < rows; ++row) {
      if (weights[row] == 0) continue;
      places[count_] = row;
      roots[count_++] = std::sqrt(weights[row]);
    }
    rows_ = {places, roots};
  }

  bool Failed() const { return memory_.Failed(); }
  int64_t Count() const { return count_; }
  thor::WeightedRows Rows() const { return rows_; }

 private:
  static constexpr int64_t kFloats = sizeof(int64_t) / sizeof(float) + 1;  // of a place and a root
  thor::Scratch memory_;
  int64_t count_;
  thor::WeightedRows rows_ = {nullptr, nullptr};
};

template <typename T>
int Run(thor::FisherCovarianceTiles<T> compute, const T* x, const float* weights, int64_t rows, int64_t features,
        int64_t block, float* out, int threads) {
  using Arguments = thor::FisherCovarianceArguments<T>;
  if (!thor::CouldExist({rows, features})) return THOR_BAD_SIZE;
  if (block < 1) return THOR_BAD_BLOCK;
  if (!thor::CouldExist({features, block, 2}) || !thor::CouldExist({block, block, 2})) return THOR_BAD_SIZE;
  if ((x == nullptr && rows != 0 && features != 0) || (out == nullptr && features != 0)) return THOR_NULL_POINTER;
  if (features == 0) return THOR_OK;
  const int64_t blocks = CeilDivide(features, block);
  const KeptRows kept(weights, rows);
  if (kept.Failed()) return THOR_OUT_OF_MEMORY;
  if (kept.Count() == 0) {
    std::fill_n(out, blocks * block * block, 0.0f);
    return THOR_OK;
  }
  Arguments arguments{x, rows, features, block, out, 0, 0, kept.Rows(), kept.Count()};
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
  return Run(THOR_CHOOSE(thor::fisher_covariance).f32, x, nullptr, rows, features, block, out, threads);
}

int thor_fisher_covariance_bf16(const uint16_t* x, int64_t rows, int64_t features, int64_t block, float* out,
                                int threads) {
  return Run(THOR_CHOOSE(thor::fisher_covariance).bf16, x, nullptr, rows, features, block, out, threads);
}

int thor_weighted_fisher_covariance_f32(const float* x, const float* weights, int64_t rows, int64_t features,
                                        int64_t block, float* out, int threads) {
  if (weights == nullptr && rows != 0) return THOR_NULL_POINTER;
  return Run(THOR_CHOOSE(thor::fisher_covariance).weighted_f32, x, weights, rows, features, block, out, threads);
}

int thor_weighted_fisher_covariance_bf16(const uint16_t* x, const float* weights, int64_t rows, int64_t features,
                                         int64_t block, float* out, int threads) {
  if (weights == nullptr && rows != 0) return THOR_NULL_POINTER;
  return Run(THOR_CHOOSE(thor::fisher_covariance).weighted_bf16, x, weights, rows, features, block, out, threads);
}

int thor_fisher_covariance(THOR_AOT_PARAMETERS) {
  (void)stream, (void)extra;
  const thor::AotArguments arguments = THOR_AOT_ARGUMENTS;
  const bool weighted = nparam == 3;
  const char* const x = arguments.Activations(0);
  const int status = weighted ? arguments.Check({x, "float32", "float32"}) : arguments.Check({x, "float32"});
  if (status != THOR_OK) return status;
  const int last = nparam - 1;
  if (arguments.Rank(0) < 1 || arguments.Rank(last) != 3) return THOR_BAD_SHAPE;
  const int64_t rows = arguments.Rows(0), features = arguments.Dim(0, -1), block = arguments.Dim(last, 2);
  if (weighted && features != 0 && arguments.Elements(1) != rows) return THOR_BAD_SHAPE;
  if (block < 1 || arguments.Dim(last, 1) != block || arguments.Dim(last, 0) != CeilDivide(features, block))
    return THOR_BAD_BLOCK;
  const auto* const weights = arguments.Data<float>(1);
  float* const out = arguments.Data<float>(last);
  const auto call = [&](auto plain, auto with_weights, auto* rows_of_x) {
    return weighted ? with_weights(rows_of_x, weights, rows, features, block, out, 0)
                    : plain(rows_of_x, rows, features, block, out, 0);
  };
  if (arguments.Is(0, "bfloat16"))
    return call(thor_fisher_covariance_bf16, thor_weighted_fisher_covariance_bf16, arguments.Data<uint16_t>(0));
  return call(thor_fisher_covariance_f32, thor_weighted_fisher_covariance_f32, arguments.Data<float>(0));
}

}  // extern "C"
