// Sixteen lanes of float, the same names on every instruction set, so that the loops of an operation are written once
// (its body.h) and compiled once per instruction set (cmake/implementation.cc.in): the flags of the including file
// choose. Everything lives in an anonymous namespace and nothing comes from std::, so the linker can never put code
// that was compiled for wide registers where another file expects plain code. Sums over lanes are folded in one order.
#ifndef THOR_COMMON_LANES_H_
#define THOR_COMMON_LANES_H_

#include <cstdint>

namespace {

constexpr int kLanes = 16;

// Which lanes a load or store touches; the others read as zero.
struct All {};
struct First {
  int count;
};
// All, at an address that StoreStream takes.
struct Streamed : All {};

}  // namespace

#if defined(__AVX512F__)
#include "common/lanes_avx512.h"
#elif defined(__AVX2__)
#include "common/lanes_avx2.h"
#else
#include "common/lanes_portable.h"
#endif

#define THOR_INLINE inline __attribute__((always_inline))

namespace {

// step(offset, lanes) for every sixteen elements; lanes is All{} or, once at the end, First{rest}.
template <typename Step>
THOR_INLINE void ForEachVector(int64_t n, Step step) {
  int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes) step(j, All{});
  if (j < n) step(j, First{static_cast<int>(n - j)});
}

template <typename T>
THOR_INLINE void StoreOutput(T* p, Floats a, All lanes) {
  Store(p, a, lanes);
}
template <typename T>
THOR_INLINE void StoreOutput(T* p, Floats a, First lanes) {
  Store(p, a, lanes);
}
template <typename T>
THOR_INLINE void StoreOutput(T* p, Floats a, Streamed) {
  StoreStream(p, a);
}

// Elements from p to the next address that StoreStream takes.
template <typename T>
inline int64_t UnalignedElements(const T* p) {
  constexpr uintptr_t kBytes = kLanes * sizeof(T);
  return static_cast<int64_t>((0 - reinterpret_cast<uintptr_t>(p)) % kBytes / sizeof(T));
}

// As ForEachVector, for a step that ends in StoreOutput(output + offset, ..., lanes). To stream, the vectors follow
// the alignment of `output`; the elements before the first and after the last of them are stored as usual.
template <typename T, typename Step>
THOR_INLINE void ForEachOutputVector(const T* output, int64_t n, bool stream, Step step) {
  const int64_t head = UnalignedElements(output);
  if (!stream || head + kLanes > n) return ForEachVector(n, step);
  if (head > 0) step(0, First{static_cast<int>(head)});
  int64_t j = head;
  for (; j + kLanes <= n; j += kLanes) step(j, Streamed{});
  if (j < n) step(j, First{static_cast<int>(n - j)});
}

// Sum over the row of the values that term(offset, lanes) gives; lanes outside must be zero. Four accumulators hide the
// latency of the addition and keep the rounding error at (n / 64 + 6) units.
template <typename Term>
THOR_INLINE float SumOverVectors(int64_t n, Term term) {
  Floats s0 = Set(0), s1 = s0, s2 = s0, s3 = s0;
  int64_t j = 0;
  for (; j + 4 * kLanes <= n; j += 4 * kLanes) {
    s0 = s0 + term(j, All{});
    s1 = s1 + term(j + kLanes, All{});
    s2 = s2 + term(j + 2 * kLanes, All{});
    s3 = s3 + term(j + 3 * kLanes, All{});
  }
  for (; j + kLanes <= n; j += kLanes) s0 = s0 + term(j, All{});
  if (j < n) s1 = s1 + term(j, First{static_cast<int>(n - j)});
  return SumLanes((s0 + s1) + (s2 + s3));
}

}  // namespace

#endif  // THOR_COMMON_LANES_H_
