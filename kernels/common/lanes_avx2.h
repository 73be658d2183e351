// Sixteen lanes as two AVX2 registers.
#ifndef THOR_COMMON_LANES_AVX2_H_
#define THOR_COMMON_LANES_AVX2_H_

#include <immintrin.h>

#include <cstdint>

namespace {

struct Floats {
  __m256 low, high;
};

// Lanes [from, from + 8) of the mask whose first `count` lanes are set.
inline __m256i LaneMask(First lanes, int from) {
  const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(lanes.count - from), index);
}

inline Floats Set(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline Floats operator+(Floats a, Floats b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
inline Floats operator-(Floats a, Floats b) { return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)}; }
inline Floats operator*(Floats a, Floats b) { return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)}; }
inline Floats MultiplyAdd(Floats a, Floats b, Floats c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}

inline Floats Load(const float* p, All) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline Floats Load(const float* p, First lanes) {
  return {_mm256_maskload_ps(p, LaneMask(lanes, 0)), _mm256_maskload_ps(p + 8, LaneMask(lanes, 8))};
}
inline void Store(float* p, Floats a, All) {
  _mm256_storeu_ps(p, a.low);
  _mm256_storeu_ps(p + 8, a.high);
}
inline void Store(float* p, Floats a, First lanes) {
  _mm256_maskstore_ps(p, LaneMask(lanes, 0), a.low);
  _mm256_maskstore_ps(p + 8, LaneMask(lanes, 8), a.high);
}

// Past the caches: the line is not read first. p is aligned to the bytes of sixteen elements.
inline void StoreStream(float* p, Floats a) {
  _mm256_stream_ps(p, a.low);
  _mm256_stream_ps(p + 8, a.high);
}
inline void StreamFence() { _mm_sfence(); }
// Inlined always: GCC takes a function that only prefetches for one without an effect, and drops calls of it.
inline __attribute__((always_inline)) void Prefetch(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0);
}
// Into the second cache, for what is needed later than the next few thousand elements.
inline __attribute__((always_inline)) void PrefetchFar(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1);
}

// bfloat16: the upper half of a float; stored by rounding to nearest, ties to even; a NaN stays a NaN.
inline __m256 Widen(__m128i bits) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16)); }
inline __m128i Narrow(__m256 a) {
  const __m256i bits = _mm256_castps_si256(a);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
  const __m256i upper = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
  return _mm_packus_epi32(_mm256_castsi256_si128(upper), _mm256_extracti128_si256(upper, 1));
}
inline Floats Load(const uint16_t* p, All) {
  return {Widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          Widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
inline Floats Load(const uint16_t* p, First lanes) {
  uint16_t copy[kLanes] = {};
  for (int i = 0; i < lanes.count; ++i) copy[i] = p[i];
  return Load(copy, All{});
}
inline void Store(uint16_t* p, Floats a, All) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), Narrow(a.low));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), Narrow(a.high));
}
inline void StoreStream(uint16_t* p, Floats a) {
  _mm_stream_si128(reinterpret_cast<__m128i*>(p), Narrow(a.low));
  _mm_stream_si128(reinterpret_cast<__m128i*>(p + 8), Narrow(a.high));
}
inline void Store(uint16_t* p, Floats a, First lanes) {
  uint16_t copy[kLanes];
  Store(copy, a, All{});
  for (int i = 0; i < lanes.count; ++i) p[i] = copy[i];
}

inline Floats Keep(Floats a, All) { return a; }
inline Floats Keep(Floats a, First lanes) {
  return {_mm256_and_ps(a.low, _mm256_castsi256_ps(LaneMask(lanes, 0))),
          _mm256_and_ps(a.high, _mm256_castsi256_ps(LaneMask(lanes, 8)))};
}

inline float SumLanes(Floats a) {
  const __m256 eight = _mm256_add_ps(a.low, a.high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

// The larger element; the second operand where one of them is a NaN.
inline Floats Max(Floats a, Floats b) { return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }
inline Floats Min(Floats a, Floats b) { return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)}; }
// then where a < b, else otherwise.
inline Floats WhereLess(Floats a, Floats b, Floats then, Floats otherwise) {
  return {_mm256_blendv_ps(otherwise.low, then.low, _mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ)),
          _mm256_blendv_ps(otherwise.high, then.high, _mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ))};
}
inline Floats Reciprocal(Floats a) {
  return {_mm256_div_ps(_mm256_set1_ps(1), a.low), _mm256_div_ps(_mm256_set1_ps(1), a.high)};
}
inline Floats Sqrt(Floats a) { return {_mm256_sqrt_ps(a.low), _mm256_sqrt_ps(a.high)}; }
inline Floats RoundToNearest(Floats a) {
  constexpr int kMode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(a.low, kMode), _mm256_round_ps(a.high, kMode)};
}
inline __m256 PowerOfTwo(__m256 n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}
// a * 2^n for integral n in [-126, 127].
inline Floats ScaleByPowerOfTwo(Floats a, Floats n) {
  return {_mm256_mul_ps(a.low, PowerOfTwo(n.low)), _mm256_mul_ps(a.high, PowerOfTwo(n.high))};
}
inline float MaxLanes(Floats a) {
  const __m256 eight = _mm256_max_ps(a.low, a.high);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

// Eight 64-bit lanes for the counter-based generator (philox.h): only the low halves count, except after Multiply.
struct Counters {
  __m256i low, high;
};
// Sixteen 32-bit words, in memory order.
struct Words {
  __m256i low, high;
};

inline Counters SetCounters(uint64_t x) {
  const __m256i v = _mm256_set1_epi64x(static_cast<int64_t>(x));
  return {v, v};
}
// first .. first + 7, in the lanes where Interleave expects them.
inline Counters CountFrom(uint64_t first) {
  const __m256i v = _mm256_set1_epi64x(static_cast<int64_t>(first));
  return {_mm256_add_epi64(v, _mm256_setr_epi64x(0, 2, 1, 3)), _mm256_add_epi64(v, _mm256_setr_epi64x(4, 6, 5, 7))};
}
inline Counters Multiply(Counters a, Counters b) {
  return {_mm256_mul_epu32(a.low, b.low), _mm256_mul_epu32(a.high, b.high)};
}
inline Counters High(Counters a) { return {_mm256_srli_epi64(a.low, 32), _mm256_srli_epi64(a.high, 32)}; }
inline Counters Xor(Counters a, Counters b, Counters c) {
  return {_mm256_xor_si256(_mm256_xor_si256(a.low, b.low), c.low),
          _mm256_xor_si256(_mm256_xor_si256(a.high, b.high), c.high)};
}
inline Words InterleaveFour(__m256i c0, __m256i c1, __m256i c2, __m256i c3) {
  const __m256i even = _mm256_blend_epi32(c0, _mm256_slli_epi64(c1, 32), 0xaa);
  const __m256i odd = _mm256_blend_epi32(c2, _mm256_slli_epi64(c3, 32), 0xaa);
  return {_mm256_unpacklo_epi64(even, odd), _mm256_unpackhi_epi64(even, odd)};
}
// Word k of counter i goes to position 4 i + k: the first four counters to `low`, the others to `high`.
inline void Interleave(const Counters (&c)[4], Words* low, Words* high) {
  *low = InterleaveFour(c[0].low, c[1].low, c[2].low, c[3].low);
  *high = InterleaveFour(c[0].high, c[1].high, c[2].high, c[3].high);
}
inline void Store(uint32_t* p, Words a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.low);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 8), a.high);
}
// value where the word is at least `threshold`, else 0.
inline Floats WhereAtLeast(Words a, uint32_t threshold, Floats value) {
  const __m256i t = _mm256_set1_epi32(static_cast<int>(threshold));
  const __m256i low = _mm256_cmpeq_epi32(_mm256_max_epu32(a.low, t), a.low);
  const __m256i high = _mm256_cmpeq_epi32(_mm256_max_epu32(a.high, t), a.high);
  return {_mm256_and_ps(_mm256_castsi256_ps(low), value.low), _mm256_and_ps(_mm256_castsi256_ps(high), value.high)};
}

}  // namespace

#endif  // THOR_COMMON_LANES_AVX2_H_
