// Products of bfloat16 in hardware: two elements of the depth at a time, exact products, fp32 sums. For AVX512_BF16.
#ifndef THOR_COMMON_PAIRS_H_
#define THOR_COMMON_PAIRS_H_

#include "common/lanes.h"

namespace {

struct MultiplyAddPairs {
  static Floats Apply(Floats a, Floats b, Floats sum) {
    return {_mm512_dpbf16_ps(sum.v, reinterpret_cast<__m512bh>(a.v), reinterpret_cast<__m512bh>(b.v))};
  }
};

inline __m256i LoadBits(const uint16_t* p, First lanes) { return _mm256_maskz_loadu_epi16(LaneMask(lanes), p); }
inline __m256i LoadBits(const uint16_t* p, All) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

// Sixteen elements of two rows as pairs.
inline Floats Interleave(__m256i even, __m256i odd) {
  const __m512i upper = _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16);
  return {_mm512_castsi512_ps(_mm512_or_si512(_mm512_cvtepu16_epi32(even), upper))};
}

}  // namespace

#endif  // THOR_COMMON_PAIRS_H_
