// bfloat16 products in hardware: two rows of x at a time, exact products, fp32 sums.
#include "common/pairs.h"
#include "fisher_covariance/body.h"

namespace {

// Rows 2k and 2k + 1 of a column are the two halves of one element of the panel; an odd last row is paired with zeros.
struct Paired {
  using Element = uint16_t;
  using Product = MultiplyAddPairs;
  using InFloat32 = Widened<uint16_t>;
  static constexpr int64_t kRows = 2;
  static void Pack(const Arguments<uint16_t>& a, int64_t first, int64_t rows, int64_t column, int64_t columns,
                   float* panels) {
    const uint16_t* const x = a.x + first * a.features + column;
    const int64_t stride = a.features, depth = (rows + 1) / 2;
    for (int64_t k = 0; k < rows; k += 2)
      ForEachVector(columns, [=](int64_t j, auto lanes) {
        const uint16_t* const source = x + k * stride + j;
        const __m256i odd = k + 1 < rows ? LoadBits(source + stride, lanes) : __m256i{};
        Store(panels + j * depth + k / 2 * kLanes, Interleave(LoadBits(source, lanes), odd), All{});
      });
  }
};

}  // namespace

const thor::FisherCovarianceImplementation thor::fisher_covariance_avx512_bf16 = {
    ComputeTiles<Widened<float>>, ComputeTiles<Paired>, ComputeTiles<Weighted<float>>,
    ComputeTiles<Weighted<uint16_t>>};
