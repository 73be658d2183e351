// Products of bfloat16 in hardware, for attention: two elements of the depth at a time, exact products, float sums.
//
// Elements 2c and 2c + 1 of the depth are the halves of one element of a factor: rows of bfloat16 are such a left
// factor as they lie; a right factor has them in panels, an odd last one paired with zero.
#ifndef THOR_ATTENTION_PAIRS_H_
#define THOR_ATTENTION_PAIRS_H_

#include "attention/products.h"
#include "common/pairs.h"

namespace {

inline int64_t Pairs(int64_t elements) { return (elements + 1) / 2; }
inline uint16_t* AsBfloat16(float* row) { return reinterpret_cast<uint16_t*>(row); }

inline void StoreBits(uint16_t* p, __m256i bits, First lanes) { _mm256_mask_storeu_epi16(p, LaneMask(lanes), bits); }
inline void StoreBits(uint16_t* p, __m256i bits, All) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), bits); }

// An odd last element of a row is paired with zero.
inline void EndPairs(int64_t length, uint16_t* row) {
  if (length % 2 != 0) StoreBits(row + length, __m256i{}, First{1});
}

// The head's rows, each filled up with zeros; rows beyond the length are zero.
inline void PackRows(const thor::AttentionShape& n, const uint16_t* source, int64_t stride, float* rows) {
  for (int64_t s = 0; s < n.padded_length; ++s)
    ForEachVector(n.head_size, [=](int64_t j, auto lanes) {
      const __m256i bits = s < n.length ? LoadBits(source + s * stride + j, lanes) : __m256i{};
      StoreBits(AsBfloat16(rows + s * n.padded_size / 2) + j, bits, All{});
    });
}

// Pairs of rows, in panels of 16 columns of padded_length / 2 rows.
inline void PackRowPairs(const thor::AttentionShape& n, const uint16_t* source, int64_t stride, float* panels) {
  for (int64_t s = 0; s < n.length; s += 2)
    ForEachVector(n.head_size, [=](int64_t j, auto lanes) {
      const uint16_t* const even = source + s * stride + j;
      const __m256i odd = s + 1 < n.length ? LoadBits(even + stride, lanes) : __m256i{};
      Store(panels + j * n.padded_length / 2 + s / 2 * kLanes, Interleave(LoadBits(even, lanes), odd), All{});
    });
}

// Pairs of columns, in panels of 16 rows of Pairs(head size) rows.
inline void PackColumnPairs(const thor::AttentionShape& n, const uint16_t* source, int64_t stride, float* panels) {
  const int64_t pairs = Pairs(n.head_size);
  for (int64_t s = 0; s < n.length; s += kLanes)
    for (int64_t c = 0; c < pairs; c += kLanes) {
      const int64_t elements = Smaller(2 * kLanes, n.head_size - 2 * c);
      const __mmask32 mask = static_cast<__mmask32>((uint64_t{1} << elements) - 1);
      Floats tile[kLanes];
      for (int64_t r = 0; r < kLanes; ++r) {
        const uint16_t* const row = source + (s + r) * stride + 2 * c;
        tile[r].v = _mm512_castsi512_ps(s + r < n.length ? _mm512_maskz_loadu_epi16(mask, row) : __m512i{});
      }
      Transpose(tile);
      for (int64_t p = 0; p < Smaller(kLanes, pairs - c); ++p)
        Store(panels + s * pairs + (c + p) * kLanes, tile[p], All{});
    }
}

// products[i, :] = row first + i of `left` times what PackColumnPairs made, i < rows.
inline void MultiplyColumnPairs(const thor::AttentionShape& n, const float* left, int64_t first, int64_t rows,
                                const float* right, float* products) {
  const int64_t pairs = Pairs(n.head_size), stride = n.padded_size / 2;
  for (int64_t i = 0; i < rows; i += kTileRows)
    ForEachTileColumn(0, n.padded_length, [&](int64_t j, auto vectors) {
      constexpr int kVectors = decltype(vectors)::value;
      Floats sum[kTileRows][kVectors];
      Clear(sum);
      AddProduct<kVectors, MultiplyAddPairs>(pairs, {left + (first + i) * stride, stride, 1}, right + j * pairs,
                                             kLanes * pairs, sum);
      for (int r = 0; r < kTileRows; ++r)
        for (int v = 0; v < kVectors; ++v)
          Store(products + (i + r) * n.padded_length + j + v * kLanes, sum[r][v], All{});
    });
}

}  // namespace

#endif  // THOR_ATTENTION_PAIRS_H_
