// Sixteen lanes as one AVX-512 register.
#ifndef THOR_COMMON_LANES_AVX512_H_
#define THOR_COMMON_LANES_AVX512_H_

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"  // false alarms about _mm512_undefined_... in GCC 12's own header
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

#include <cstdint>

namespace {

struct Floats {
  __m512 v;
};

inline __mmask16 LaneMask(First lanes) { return static_cast<__mmask16>((1u << lanes.count) - 1); }

inline Floats Set(float x) { return {_mm512_set1_ps(x)}; }
inline Floats operator+(Floats a, Floats b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Floats operator-(Floats a, Floats b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Floats operator*(Floats a, Floats b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Floats MultiplyAdd(Floats a, Floats b, Floats c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }

inline Floats Load(const float* p, All) { return {_mm512_loadu_ps(p)}; }
inline Floats Load(const float* p, First lanes) { return {_mm512_maskz_loadu_ps(LaneMask(lanes), p)}; }
inline void Store(float* p, Floats a, All) { _mm512_storeu_ps(p, a.v); }
inline void Store(float* p, Floats a, First lanes) { _mm512_mask_storeu_ps(p, LaneMask(lanes), a.v); }

// Past the caches: the line is not read first. p is aligned to the bytes of sixteen elements.
inline void StoreStream(float* p, Floats a) { _mm512_stream_ps(p, a.v); }
inline void StreamFence() { _mm_sfence(); }
// Inlined always: GCC takes a function that only prefetches for one without an effect, and drops calls of it.
inline __attribute__((always_inline)) void Prefetch(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0);
}
// Into the second cache, for what is needed later than the next few thousand elements.
inline __attribute__((always_inline)) void PrefetchFar(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1);
}

// bfloat16: the upper half of a float; stored by rounding to nearest, ties to even; a NaN stays a NaN. The processor's
// own rounding takes subnormal floats for 0.
inline Floats Widen(__m256i bits) { return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16))}; }
#if defined(__AVX512BF16__)
inline __m256i Narrow(Floats a) { return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(a.v)); }
#else
inline __m256i Narrow(Floats a) {
  const __m512i bits = _mm512_castps_si512(a.v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const __mmask16 nan = _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_mask_mov_epi32(rounded, nan, quiet), 16));
}
#endif
inline Floats Load(const uint16_t* p, All) { return Widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
inline Floats Load(const uint16_t* p, First lanes) { return Widen(_mm256_maskz_loadu_epi16(LaneMask(lanes), p)); }
inline void Store(uint16_t* p, Floats a, All) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), Narrow(a)); }
inline void Store(uint16_t* p, Floats a, First lanes) { _mm256_mask_storeu_epi16(p, LaneMask(lanes), Narrow(a)); }
inline void StoreStream(uint16_t* p, Floats a) { _mm256_stream_si256(reinterpret_cast<__m256i*>(p), Narrow(a)); }

inline Floats Keep(Floats a, All) { return a; }
inline Floats Keep(Floats a, First lanes) { return {_mm512_maskz_mov_ps(LaneMask(lanes), a.v)}; }

inline float SumLanes(Floats a) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

// The larger element; the second operand where one of them is a NaN.
inline Floats Max(Floats a, Floats b) { return {_mm512_max_ps(a.v, b.v)}; }
inline Floats Min(Floats a, Floats b) { return {_mm512_min_ps(a.v, b.v)}; }
// then where a < b, else otherwise.
inline Floats WhereLess(Floats a, Floats b, Floats then, Floats otherwise) {
  return {_mm512_mask_mov_ps(otherwise.v, _mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), then.v)};
}
inline Floats Reciprocal(Floats a) { return {_mm512_div_ps(_mm512_set1_ps(1), a.v)}; }
inline Floats Sqrt(Floats a) { return {_mm512_sqrt_ps(a.v)}; }
inline Floats RoundToNearest(Floats a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// a * 2^n for integral n in [-126, 127].
inline Floats ScaleByPowerOfTwo(Floats a, Floats n) { return {_mm512_scalef_ps(a.v, n.v)}; }
inline float MaxLanes(Floats a) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

// Eight 64-bit lanes for the counter-based generator (philox.h): only the low halves count, except after Multiply.
struct Counters {
  __m512i v;
};
// Sixteen 32-bit words, in memory order.
struct Words {
  __m512i v;
};

inline Counters SetCounters(uint64_t x) { return {_mm512_set1_epi64(static_cast<int64_t>(x))}; }
// first .. first + 7, in the lanes where Interleave expects them.
inline Counters CountFrom(uint64_t first) {
  return {_mm512_add_epi64(_mm512_set1_epi64(static_cast<int64_t>(first)), _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7))};
}
inline Counters Multiply(Counters a, Counters b) { return {_mm512_mul_epu32(a.v, b.v)}; }
inline Counters High(Counters a) { return {_mm512_srli_epi64(a.v, 32)}; }
inline Counters Xor(Counters a, Counters b, Counters c) { return {_mm512_ternarylogic_epi64(a.v, b.v, c.v, 0x96)}; }
// Word k of counter i goes to position 4 i + k: the first four counters to `low`, the others to `high`.
inline void Interleave(const Counters (&c)[4], Words* low, Words* high) {
  const __m512i even = _mm512_mask_blend_epi32(0xaaaa, c[0].v, _mm512_slli_epi64(c[1].v, 32));
  const __m512i odd = _mm512_mask_blend_epi32(0xaaaa, c[2].v, _mm512_slli_epi64(c[3].v, 32));
  low->v = _mm512_unpacklo_epi64(even, odd);
  high->v = _mm512_unpackhi_epi64(even, odd);
}
inline void Store(uint32_t* p, Words a) { _mm512_storeu_si512(p, a.v); }
// value where the word is at least `threshold`, else 0.
inline Floats WhereAtLeast(Words a, uint32_t threshold, Floats value) {
  return {_mm512_maskz_mov_ps(_mm512_cmpge_epu32_mask(a.v, _mm512_set1_epi32(static_cast<int>(threshold))), value.v)};
}

}  // namespace

#endif  // THOR_COMMON_LANES_AVX512_H_
