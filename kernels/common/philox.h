// Philox4x32-10, eight counters at a time. For the files of one instruction set, as lanes.h.
#ifndef THOR_COMMON_PHILOX_H_
#define THOR_COMMON_PHILOX_H_

#include "common/dropout.h"
#include "common/lanes.h"

namespace {

constexpr int kPhiloxWords = 32;  // words per call of PhiloxBlocks

// Words of counters block .. block + 7, whose upper words are `upper`.
THOR_INLINE void PhiloxBlocks(const thor::Dropout& d, uint64_t block, Counters upper, Words* low, Words* high) {
  Counters c[4] = {CountFrom(block), upper, SetCounters(d.step), SetCounters(d.site)};
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

// 0 or 1 / (1 - p) for the elements of indices first .. first + count - 1, 1 <= count <= kDropoutSegment; the result
// points into `buffer`. fetch(offset) is called for every kLanes of them: it may ask memory for what is needed later.
template <typename Fetch>
THOR_INLINE const float* DropoutScales(const thor::Dropout& d, uint64_t first, int count, DropoutBuffer* buffer,
                                       Fetch fetch) {
  const int skip = static_cast<int>(first % 4);
  const uint64_t begin = first / 4, last = (first + count - 1) / 4;
  const Floats kept = Set(d.scale);
  const auto draw = [&](auto upper) {
    for (int i = 0; i < skip + count; i += kPhiloxWords) {
      Words low, high;
      PhiloxBlocks(d, begin + i / 4, upper(begin + i / 4), &low, &high);
      Store(buffer->scale + i, WhereAtLeast(low, d.threshold, kept), All{});
      Store(buffer->scale + i + kLanes, WhereAtLeast(high, d.threshold, kept), All{});
      fetch(i);
      fetch(i + kLanes);
    }
  };
  if (begin >> 32 == last >> 32) {  // nearly always; then two of the twenty products are the same for all of them
    const Counters upper = SetCounters(begin >> 32);
    draw([=](uint64_t) { return upper; });
  } else {
    draw([](uint64_t block) { return High(CountFrom(block)); });
  }
  return buffer->scale + skip;
}

// As ForEachDropoutVector, for a step that ends in StoreOutput(output + offset, ..., lanes). fetch(offset) asks for a
// vector of what is needed after this row; drawing random numbers takes so long that memory can bring it meanwhile.
template <typename T, typename Step, typename Fetch>
THOR_INLINE void ForEachDropoutOutputVector(const thor::Dropout& d, uint64_t first, const T* output, int64_t n,
                                            bool stream, Step step, Fetch fetch) {
  if (d.threshold == 0) {
    ForEachOutputVector(output, n, stream, [&](int64_t j, auto lanes) {
      fetch(j);
      step(j, lanes, Set(1));
    });
    return;
  }
  DropoutBuffer buffer;
  const int64_t head =
      stream ? UnalignedElements(output) : 0;  // the first segment is shorter: the others start aligned
  int64_t count = kDropoutSegment - (kLanes - head) % kLanes;
  for (int64_t begin = 0; begin < n; begin += count, count = kDropoutSegment) {
    if (count > n - begin) count = n - begin;
    const float* scale = DropoutScales(d, d.first + first + begin, static_cast<int>(count), &buffer,
                                       [&](int64_t j) { fetch(begin + j); });
    ForEachOutputVector(output + begin, count, stream,
                        [&](int64_t j, auto lanes) { step(begin + j, lanes, Load(scale + j, lanes)); });
  }
}

// step(offset, lanes, scale) for every sixteen elements of a row of n that starts at element `first` of this slice;
// scale is what to multiply with. Draws nothing where nothing is dropped.
template <typename Step>
THOR_INLINE void ForEachDropoutVector(const thor::Dropout& d, uint64_t first, int64_t n, Step step) {
  ForEachDropoutOutputVector(d, first, static_cast<const float*>(nullptr), n, false, step, [](int64_t) {});
}

}  // namespace

#endif  // THOR_COMMON_PHILOX_H_
