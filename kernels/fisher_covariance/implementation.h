// What fisher_covariance.cc asks of body.h: some of the square tiles on and below the diagonal of the blocks, for
// checked arguments.
#ifndef THOR_FISHER_COVARIANCE_IMPLEMENTATION_H_
#define THOR_FISHER_COVARIANCE_IMPLEMENTATION_H_

#include <cstdint>

#include "common/dispatch.h"

namespace thor {

// The rows of x whose weight is not 0, in order, and the roots of their weights; null where there are no weights.
struct WeightedRows {
  const int64_t* places;
  const float* roots;
};

template <typename T>
struct FisherCovarianceArguments {
  const T* x;  // [rows, features]
  int64_t rows, features, block;
  float* out;     // [ceil(features / block), block, block]
  int64_t edge;   // of a tile: a multiple of 16, at most kMaxEdge
  int64_t tiles;  // per block and axis: ceil(block / edge)
  WeightedRows weighted;
  int64_t summed;  // rows that are summed: those in weighted, or all

  static constexpr int64_t kMaxEdge = 256;  // the sums of a tile take a quarter of a 1 MiB L2 cache
  static constexpr int64_t kMinEdge = 64;   // of smaller tiles, for the sake of more threads
  static constexpr int64_t kDepth = 128;    // panel rows at a time: what a product touches fits in L1
  static constexpr int64_t kScratch = kMaxEdge * (kMaxEdge + 2 * kDepth);  // floats: sums and two sets of panels

  // Cost of all tiles of a block, in units of a tile on the diagonal: the others cost two.
  int64_t Units() const { return tiles * tiles; }
};

// Does the tiles whose first cost unit lies in [begin, end).
template <typename T>
using FisherCovarianceTiles = void (*)(const FisherCovarianceArguments<T>&, int64_t begin, int64_t end, float* scratch);

struct FisherCovarianceImplementation {
  FisherCovarianceTiles<float> f32;
  FisherCovarianceTiles<uint16_t> bf16;
  FisherCovarianceTiles<float> weighted_f32;
  FisherCovarianceTiles<uint16_t> weighted_bf16;
};

THOR_DECLARE_IMPLEMENTATIONS(FisherCovarianceImplementation, fisher_covariance);

}  // namespace thor

#endif  // THOR_FISHER_COVARIANCE_IMPLEMENTATION_H_
