// Philox4x32-10, eight counters at a time. For the files of one instruction set, as lanes.h.
#ifndef THOR_COMMON_PHILOX_H_
#define THOR_COMMON_PHILOX_H_

#include "common/dropout.h"
#include "common/lanes.h"

namespace {

constexpr int kPhiloxWords = 32;  // words per call of PhiloxBlocks

// Words of counters block .. block + 7.
THOR_INLINE void PhiloxBlocks(const thor::Dropout& d, uint64_t block, Words* low, Words* high) {
  Counters c[4] = {CountFrom(block), High(CountFrom(block)), SetCounters(d.step), SetCounters(d.site)};
  const Counters m0 = SetCounters(0xD2511F53), m1 = SetCounters(0xCD9E8D57);
#pragma GCC unroll 10
  for (const auto& key : d.keys) {
    const Counters p0 = Multiply(m0, c[0]), p1 = Multiply(m1, c[2]);
    c[0] = Xor(High(p1), c[1], SetCounters(key[0]));
    c[2] = Xor(High(p0), c[3], SetCounters(key[1]));
    c[1] = p1;
    c[3] = p0;
  }
  Interleave(c, low, high);
}

constexpr int kDropoutSegment = 512;
// Space for the scales of one segment, whatever the alignment of its first index.
struct DropoutBuffer {
  float scale[kDropoutSegment + kPhiloxWords + 4];
};

// 0 or 1 / (1 - p) for the elements of indices first .. first + count - 1, count <= kDropoutSegment; the result points
// into `buffer`.
inline const float* DropoutScales(const thor::Dropout& d, uint64_t first, int count, DropoutBuffer* buffer) {
  const int skip = static_cast<int>(first % 4);
  const Floats kept = Set(d.scale);
  for (int i = 0; i < skip + count; i += kPhiloxWords) {
    Words low, high;
    PhiloxBlocks(d, first / 4 + i / 4, &low, &high);
    Store(buffer->scale + i, WhereAtLeast(low, d.threshold, kept), All{});
    Store(buffer->scale + i + kLanes, WhereAtLeast(high, d.threshold, kept), All{});
  }
  return buffer->scale + skip;
}

// As ForEachDropoutVector, for a step that ends in StoreOutput(output + offset, ..., lanes).
template <typename T, typename Step>
THOR_INLINE void ForEachDropoutOutputVector(const thor::Dropout& d, uint64_t first, const T* output, int64_t n,
                                            bool stream, Step step) {
  if (d.threshold == 0) {
    ForEachOutputVector(output, n, stream, [&](int64_t j, auto lanes) { step(j, lanes, Set(1)); });
    return;
  }
  DropoutBuffer buffer;
  const int64_t head =
      stream ? UnalignedElements(output) : 0;  // the first segment is shorter: the others start aligned
  int64_t count = kDropoutSegment - (kLanes - head) % kLanes;
  for (int64_t begin = 0; begin < n; begin += count, count = kDropoutSegment) {
    if (count > n - begin) count = n - begin;
    const float* scale = DropoutScales(d, d.first + first + begin, static_cast<int>(count), &buffer);
    ForEachOutputVector(output + begin, count, stream,
                        [&](int64_t j, auto lanes) { step(begin + j, lanes, Load(scale + j, lanes)); });
  }
}

// step(offset, lanes, scale) for every sixteen elements of a row of n that starts at element `first` of this slice;
// scale is what to multiply with. Draws nothing where nothing is dropped.
template <typename Step>
THOR_INLINE void ForEachDropoutVector(const thor::Dropout& d, uint64_t first, int64_t n, Step step) {
  ForEachDropoutOutputVector(d, first, static_cast<const float*>(nullptr), n, false, step);
}

}  // namespace

#endif  // THOR_COMMON_PHILOX_H_
