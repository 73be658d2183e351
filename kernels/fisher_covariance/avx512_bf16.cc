// bfloat16 products in hardware: two rows of x at a time, exact products, fp32 sums.
#include "fisher_covariance/body.h"

namespace {

struct MultiplyAddPairs {
  static Floats Apply(Floats a, Floats b, Floats sum) {
    return {_mm512_dpbf16_ps(sum.v, reinterpret_cast<__m512bh>(a.v), reinterpret_cast<__m512bh>(b.v))};
  }
};

inline __m256i LoadBits(const uint16_t* p, First lanes) { return _mm256_maskz_loadu_epi16(LaneMask(lanes), p); }
inline __m256i LoadBits(const uint16_t* p, All) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

// Rows 2k and 2k + 1 of a column are the two halves of one element of the panel; an odd last row is paired with zeros.
struct Paired {
  using Element = uint16_t;
  using Product = MultiplyAddPairs;
  static constexpr int64_t kRows = 2;
  static void Pack(const uint16_t* x, int64_t stride, int64_t rows, int64_t columns, float* panels) {
    const int64_t depth = (rows + 1) / 2;
    for (int64_t k = 0; k < rows; k += 2)
      ForEachVector(columns, [=](int64_t j, auto lanes) {
        const uint16_t* const source = x + k * stride + j;
        const __m512i even = _mm512_cvtepu16_epi32(LoadBits(source, lanes));
        const __m512i odd = k + 1 < rows ? _mm512_cvtepu16_epi32(LoadBits(source + stride, lanes)) : __m512i{};
        float* const target = panels + j * depth + k / 2 * kLanes;
        _mm512_storeu_si512(target, _mm512_or_si512(even, _mm512_slli_epi32(odd, 16)));
      });
  }
};

}  // namespace

const thor::FisherCovarianceImplementation thor::fisher_covariance_avx512_bf16 = {ComputeTiles<Widened<float>>,
                                                                                  ComputeTiles<Paired>};
