// bfloat16 products in hardware: two elements of the depth at a time, exact products, fp32 sums.
#include "common/pairs.h"
#include "linear/body.h"

namespace {

inline __m512i Bits(__m512bh pairs) { return reinterpret_cast<__m512i>(pairs); }
inline Floats AsFloats(__m512i bits) { return {_mm512_castsi512_ps(bits)}; }

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
