// bfloat16 products in hardware: two elements of the depth at a time, exact products, fp32 sums.
#include "linear/body.h"

namespace {

struct MultiplyAddPairs {
  static Floats Apply(Floats a, Floats b, Floats sum) {
    return {_mm512_dpbf16_ps(sum.v, reinterpret_cast<__m512bh>(a.v), reinterpret_cast<__m512bh>(b.v))};
  }
};

inline __m512i Bits(__m512bh pairs) { return reinterpret_cast<__m512i>(pairs); }
inline Floats AsFloats(__m512i bits) { return {_mm512_castsi512_ps(bits)}; }

inline __m256i LoadBits(const uint16_t* p, First lanes) { return _mm256_maskz_loadu_epi16(LaneMask(lanes), p); }
inline __m256i LoadBits(const uint16_t* p, All) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

// Sixteen elements of two rows as pairs.
inline Floats Interleave(__m256i even, __m256i odd) {
  return AsFloats(_mm512_or_si512(_mm512_cvtepu16_epi32(even), _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16)));
}

inline __m256i Round(Floats x) { return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x.v)); }

// Elements 2k and 2k + 1 of the depth are the two halves of one element of a panel; an odd last one is paired with
// zero.
struct Paired {
  using Product = MultiplyAddPairs;
  static constexpr int64_t kElements = 2;

  static Floats Along(const uint16_t* source, All) { return AsFloats(_mm512_loadu_si512(source)); }
  static Floats Along(const uint16_t* source, First lanes) {
    return AsFloats(_mm512_maskz_loadu_epi16(static_cast<__mmask32>((uint64_t{1} << lanes.count) - 1), source));
  }
  static Floats Along(const float* source, All) { return Rounded(Load(source, All{}), Load(source + kLanes, All{})); }
  static Floats Along(const float* source, First lanes) {
    if (lanes.count <= kLanes) return Rounded(Load(source, lanes), Set(0));
    return Rounded(Load(source, All{}), Load(source + kLanes, First{lanes.count - kLanes}));
  }

  template <class Lanes>
  static Floats Across(const uint16_t* source, int64_t stride, int64_t rows, Lanes lanes) {
    return Interleave(LoadBits(source, lanes), rows > 1 ? LoadBits(source + stride, lanes) : __m256i{});
  }
  template <class Lanes>
  static Floats Across(const float* source, int64_t stride, int64_t rows, Lanes lanes) {
    const Floats odd = rows > 1 ? Load(source + stride, lanes) : Set(0);
    return Interleave(Round(Load(source, lanes)), Round(odd));
  }

 private:
  static Floats Rounded(Floats low, Floats high) { return AsFloats(Bits(_mm512_cvtne2ps_pbh(high.v, low.v))); }
};

}  // namespace

const thor::LinearImplementation thor::linear_avx512_bf16 = kWith<Paired>;
