// Square tiles of 16 x 16 in AVX2 registers, two to a row.
#ifndef THOR_COMMON_TILE_AVX2_H_
#define THOR_COMMON_TILE_AVX2_H_

namespace {

constexpr int kTileRows = 4;     // 4 x 2 registers of sums, of 16 registers in all
constexpr int kTileVectors = 1;  // of kLanes columns each

inline Floats operator/(Floats a, Floats b) { return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)}; }
// Zero in the first lanes.
inline Floats DropFirst(Floats a, int count) {
  return {_mm256_andnot_ps(_mm256_castsi256_ps(LaneMask(First{count}, 0)), a.low),
          _mm256_andnot_ps(_mm256_castsi256_ps(LaneMask(First{count}, 8)), a.high)};
}
inline Floats SubtractProduct(Floats a, Floats b, Floats from) {
  return {_mm256_fnmadd_ps(a.low, b.low, from.low), _mm256_fnmadd_ps(a.high, b.high, from.high)};
}
inline Floats Lane(Floats a, int i) {
  const __m256 lane = _mm256_permutevar8x32_ps(i < 8 ? a.low : a.high, _mm256_set1_epi32(i % 8));
  return {lane, lane};
}

inline void Transpose8(__m256 (&r)[8]) {
  __m256 t[8];
  for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
  for (int i = 0; i < 2; ++i) {
    r[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
    r[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
    r[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
    r[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
    t[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
  }
  for (int i = 0; i < 8; ++i) r[i] = t[i];
}

// Row i, column j becomes row j, column i.
inline void Transpose(Floats (&rows)[kLanes]) {
  __m256 quarter[2][2][8];  // by half of the rows and half of the columns
  for (int i = 0; i < 8; ++i) {
    quarter[0][0][i] = rows[i].low, quarter[0][1][i] = rows[i].high;
    quarter[1][0][i] = rows[8 + i].low, quarter[1][1][i] = rows[8 + i].high;
  }
  for (auto& half : quarter)
    for (auto& square : half) Transpose8(square);
  for (int i = 0; i < 8; ++i) {
    rows[i] = {quarter[0][0][i], quarter[1][0][i]};
    rows[8 + i] = {quarter[0][1][i], quarter[1][1][i]};
  }
}

}  // namespace

#endif  // THOR_COMMON_TILE_AVX2_H_
