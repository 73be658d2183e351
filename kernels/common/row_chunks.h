// Rows shared out over threads, and sums over rows that do not depend on how many threads there are.
#ifndef THOR_COMMON_ROW_CHUNKS_H_
#define THOR_COMMON_ROW_CHUNKS_H_

#include <algorithm>
#include <cstdint>

#include "common/parallel.h"
#include "common/scratch.h"
#include "common/status.h"

namespace thor {

// Elements that one thread handles in a few microseconds, the price of waking another one.
constexpr int64_t kGrain = 16384;

// Bytes of a matrix from which it is stored past the caches: its first lines would have left them before the next
// operation reads them, and a line stored past the caches need not be read first. Measured: with the next reading of
// the matrix counted in, layer norm's forward breaks even between 8 and 12 MiB, its gradient below.
constexpr int64_t kStreamBytes = 8 << 20;

template <typename T>
bool Streams(int64_t rows, int64_t features) {
  return rows * features * static_cast<int64_t>(sizeof(T)) >= kStreamBytes;
}

// body(begin, end) over ranges of rows with at least kGrain elements each, on at most `threads` threads.
template <typename Body>
void ParallelForRows(int64_t rows, int64_t features, int threads, Body&& body) {
  const int64_t grain = std::max<int64_t>(1, kGrain / features);
  ParallelFor((rows + grain - 1) / grain, threads,
              [&](int64_t begin, int64_t end, int) { body(begin * grain, std::min(rows, end * grain)); });
}

// sums[k][j] = sum over rows of what body(begin, end, partial) leaves in partial[k][j] for rows [begin, end).
// The chunks depend on the number of rows alone (at least 32 rows each, at most 64 chunks) and are added in order.
template <int kSums, typename Body>
int SumOverRowChunks(int64_t rows, int64_t features, float* const (&sums)[kSums], int threads, Body&& body) {
  const int64_t chunk = std::max<int64_t>(32, (rows + 63) / 64), chunks = (rows + chunk - 1) / chunk;
  Scratch scratch(static_cast<int>(std::max<int64_t>(1, chunks * kSums)), features);
  if (scratch.Failed()) return THOR_OUT_OF_MEMORY;
  const auto partial = [&](int64_t c, int k) { return scratch.ForWorker(static_cast<int>(c * kSums + k)); };
  ParallelFor(chunks, rows * features < 2 * kGrain ? 1 : threads, [&](int64_t begin, int64_t end, int) {
    for (int64_t c = begin; c < end; ++c) {
      float* partials[kSums];
      for (int k = 0; k < kSums; ++k) partials[k] = partial(c, k);
      body(c * chunk, std::min(rows, (c + 1) * chunk), partials);
    }
  });
  for (int k = 0; k < kSums; ++k) {
    std::fill_n(sums[k], features, 0.0f);
    for (int64_t c = 0; c < chunks; ++c) {
      const float* p = partial(c, k);
      for (int64_t j = 0; j < features; ++j) sums[k][j] += p[j];
    }
  }
  return THOR_OK;
}

}  // namespace thor

#endif  // THOR_COMMON_ROW_CHUNKS_H_
