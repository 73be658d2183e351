// Square tiles of 16 x 16 in AVX-512 registers.
#ifndef THOR_COMMON_TILE_AVX512_H_
#define THOR_COMMON_TILE_AVX512_H_

namespace {

constexpr int kTileRows = 8;     // 8 x 2 accumulators hide the latency of two multiply-adds per cycle
constexpr int kTileVectors = 2;  // of kLanes columns each

inline Floats operator/(Floats a, Floats b) { return {_mm512_div_ps(a.v, b.v)}; }
// Zero in the first lanes.
inline Floats DropFirst(Floats a, int count) { return {_mm512_maskz_mov_ps(~LaneMask(First{count}), a.v)}; }
inline Floats SubtractProduct(Floats a, Floats b, Floats from) { return {_mm512_fnmadd_ps(a.v, b.v, from.v)}; }
inline Floats Lane(Floats a, int i) { return {_mm512_permutexvar_ps(_mm512_set1_epi32(i), a.v)}; }

template <int kSelect>
inline __m512 ShufflePairs(__m512 a, __m512 b) {
  return _mm512_castpd_ps(_mm512_shuffle_pd(_mm512_castps_pd(a), _mm512_castps_pd(b), kSelect));
}

// Row i, column j becomes row j, column i.
inline void Transpose(Floats (&r)[kLanes]) {
  __m512 t[16];
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_ps(r[2 * i].v, r[2 * i + 1].v);
    t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i].v, r[2 * i + 1].v);
  }
  for (int i = 0; i < 4; ++i) {
    r[4 * i].v = ShufflePairs<0x00>(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1].v = ShufflePairs<0xff>(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2].v = ShufflePairs<0x00>(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3].v = ShufflePairs<0xff>(t[4 * i + 1], t[4 * i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_f32x4(r[i].v, r[i + 4].v, 0x88);
    t[i + 4] = _mm512_shuffle_f32x4(r[i].v, r[i + 4].v, 0xdd);
    t[i + 8] = _mm512_shuffle_f32x4(r[i + 8].v, r[i + 12].v, 0x88);
    t[i + 12] = _mm512_shuffle_f32x4(r[i + 8].v, r[i + 12].v, 0xdd);
  }
  for (int i = 0; i < 8; ++i) {
    r[i].v = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
    r[i + 8].v = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
  }
}

}  // namespace

#endif  // THOR_COMMON_TILE_AVX512_H_
