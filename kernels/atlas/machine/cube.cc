// The cube unit: rows to fractals, loads of L0A and L0B, products, and the way of results to global memory.
#include <algorithm>

#include "core.h"
#include "numbers.h"

using namespace atlas;

namespace {

constexpr uint64_t kFractal = 16;

template <class T>
constexpr uint64_t Minor() {  // items of a 32-byte row of a fractal
  return 32 / sizeof(typename T::Raw);
}

// Rows in global memory become fractals in L1: [columns / minor][row][minor]; the last group of columns is filled with
// 0.
template <class T>
void RowsToFractals(Instruction instruction, Bytes d, Bytes s, FractalLayout c) {
  using Raw = typename T::Raw;
  Issue(instruction, double(c.matrices() * c.rows() * c.columns() * sizeof(Raw)));
  for (uint64_t i = 0; i < c.matrices(); ++i)
    for (uint64_t r = 0; r < c.rows(); ++r) {
      const Raw* from = reinterpret_cast<Raw*>(s) + i * c.source_matrix() + r * c.source_row();
      if (!Read(GM, from, c.columns() * sizeof(Raw))) return;
      for (uint64_t g = 0; g < CeilDivide(c.columns(), Minor<T>()); ++g) {
        const uint64_t at =
            i * c.destination_matrix() * sizeof(Raw) + (g * c.destination_group() + r * c.destination_row()) * 32;
        Raw* to = reinterpret_cast<Raw*>(d + at);
        if (!Write(L1, to, 32)) return;
        const uint64_t taken = std::min(Minor<T>(), c.columns() - g * Minor<T>());
        std::fill(std::copy_n(from + g * Minor<T>(), taken, to), to + Minor<T>(), Raw(0));
      }
    }
}

// How a tile of positions x channels lies in L0A or L0B: fractals of 16 x minor items, row after row of fractals.
struct Tile {
  Memory where;
  bool transposed;
  uint64_t positions, channels, minor;

  bool Swapped() const { return where == L0A && !transposed; }  // the fractal's short side runs along the channels
  uint64_t Bytes() const {
    return CeilDivide(positions, Swapped() ? kFractal : minor) * CeilDivide(channels, Swapped() ? minor : kFractal) *
           512;
  }
  uint64_t Place(uint64_t m, uint64_t k) const {  // in items
    const uint64_t fractal = kFractal * minor;
    if (Swapped())
      return (m / kFractal * CeilDivide(channels, minor) + k / minor) * fractal + m % kFractal * minor + k % minor;
    const uint64_t inside = k % kFractal * minor + m % minor;
    if (where == L0B) return (m / minor * CeilDivide(channels, kFractal) + k / kFractal) * fractal + inside;
    return (k / kFractal * CeilDivide(positions, minor) + m / minor) * fractal + inside;
  }
};

// L1 to L0A or L0B by the image-to-column unit with a window of one pixel: position m, channel k of the image in L1.
// What fills the fractals past the tile is NaN here: no product may depend on it.
template <class T>
void LoadMatrix(Instruction instruction, Memory where, uint64_t offset, Bytes s, ImageLayout c) {
  using Raw = typename T::Raw;
  const uint64_t map = registers.feature_map[c.second_map()], width = map & 0xFFFF, height = map >> 16 & 0xFFFF;
  const Tile tile{where, c.transposed() != 0, c.positions(), c.channels(), Minor<T>()};
  Issue(instruction, double(tile.Bytes()));
  if (c.stride() != 1 || c.window_width() != 1 || c.window_height() != 1 || height != 1) NotModelled("this window");
  const Bytes target = memory[where] + offset;
  if (!Write(where, target, tile.Bytes())) return;
  std::memset(target, 0xFF, tile.Bytes());
  for (uint64_t m = 0; m < tile.positions; ++m)
    for (uint64_t k = 0; k < tile.channels; ++k) {
      const uint64_t channel = c.first_channel() + k, position = c.first_position() + m;
      const Raw* from =
          reinterpret_cast<Raw*>(s) + (channel / Minor<T>() * width + position) * Minor<T>() + channel % Minor<T>();
      if (position < width && channel % Minor<T>() == 0 && !Read(L1, from, 32)) return;
      const Raw value = position < width ? *from : Raw(0);
      std::memcpy(target + tile.Place(m, k) * sizeof(Raw), &value, sizeof(Raw));
    }
}

// L0C (+)= L0A L0B; products are added one after another in float32 (the order is assumed).
template <class T>
void Multiply(Instruction instruction, Bytes out, uint64_t a_offset, uint64_t b_offset, MultiplyLayout c) {
  using Raw = typename T::Raw;
  const uint64_t m = c.rows(), k = c.inner(), n = c.columns(), minor = Minor<T>();
  const uint64_t a_columns = c.aligned_inner() && sizeof(Raw) == 4 ? CeilDivide(k, 16) * 2 : CeilDivide(k, minor);
  const uint64_t b_columns = CeilDivide(n, kFractal), m_groups = CeilDivide(m, kFractal),
                 size = m_groups * b_columns * 1024;
  Issue(instruction, double(m_groups * b_columns * CeilDivide(k, sizeof(Raw) == 4 ? 4 : 16)));
  if (c.biased()) NotModelled("the bias");
  if (!m || !k || !n) return Hazard("empty product");
  const Bytes a = memory[L0A] + a_offset, b = memory[L0B] + b_offset;
  if (!Read(L0A, a, m_groups * kFractal * a_columns * 32) ||
      !Read(L0B, b, CeilDivide(k, minor) * b_columns * kFractal * 32))
    return;
  if ((!c.first() && !Read(L0C, out, size)) || !Write(L0C, out, size)) return;
  const Raw *left = reinterpret_cast<Raw*>(a), *right = reinterpret_cast<Raw*>(b);
  float* sums = reinterpret_cast<float*>(out);
  for (uint64_t i = 0; i < m; ++i)
    for (uint64_t j = 0; j < n; ++j) {
      float& item = sums[(j / kFractal * m_groups * kFractal + i) * kFractal + j % kFractal];
      float sum = c.first() ? 0.0f : item;
      for (uint64_t x = 0; x < k; ++x)
        sum += T::Get(left[((i / kFractal * a_columns + x / minor) * kFractal + i % kFractal) * minor + x % minor]) *
               T::Get(right[((x / minor * b_columns + j / kFractal) * kFractal + j % kFractal) * minor + x % minor]);
      item = sum;
    }
}

template <class T>
void FillL1(Instruction instruction, Bytes d, FillLayout c, float value) {
  Issue(instruction, double(c.rows() * c.blocks() * 32));
  if (value != 0) NotModelled("a number other than 0");
  for (uint64_t r = 0; r < c.rows(); ++r, d += (c.blocks() + c.gap()) * 32) {
    if (!Write(L1, d, c.blocks() * 32)) return;
    std::memset(d, 0, c.blocks() * 32);
  }
}

// Fractals of L0C become rows in global memory.
template <class T>
void ResultToGlobal(Instruction instruction, Bytes d, Bytes s, ResultLayout c) {
  using Raw = typename T::Raw;
  Issue(instruction, double(c.rows() * c.columns() * sizeof(float)));
  if (!c.to_rows() || c.relu() || c.scale()) NotModelled("this layout, scale or relu");
  if ((registers.matrices & 0xFFFF) > 1) NotModelled("several matrices");
  const float* from = reinterpret_cast<float*>(s);
  for (uint64_t g = 0; g < CeilDivide(c.columns(), kFractal); ++g)
    if (!Read(L0C, from + g * c.source_group() * kFractal, c.rows() * 64)) return;
  for (uint64_t i = 0; i < c.rows(); ++i) {
    Raw* to = reinterpret_cast<Raw*>(d) + i * c.destination_row();
    if (!Write(GM, to, c.columns() * sizeof(Raw))) return;
    for (uint64_t j = 0; j < c.columns(); ++j)
      to[j] = Raw(T::Put(from[(j / kFractal * c.source_group() + i) * kFractal + j % kFractal]));
  }
}

}  // namespace

extern "C" {

#define ROWS_TO_FRACTALS(NAME, T) \
  void hivm_##NAME(Bytes d, Bytes s, uint64_t a, uint64_t b) { RowsToFractals<T>(NAME, d, s, {a, b}); }
#define LOAD_MATRIX(NAME, WHERE, T) \
  void hivm_##NAME(uint64_t o, Bytes s, uint64_t a, uint64_t b) { LoadMatrix<T>(NAME, WHERE, o, s, {a, b}); }
#define MULTIPLY(NAME, T) \
  void hivm_##NAME(Bytes c, uint64_t a, uint64_t b, uint64_t word) { Multiply<T>(NAME, c, a, b, {word}); }
ROWS_TO_FRACTALS(MOV_OUT_TO_L1_MULTI_ND2NZ_f32s, f32)
ROWS_TO_FRACTALS(MOV_OUT_TO_L1_MULTI_ND2NZ_f16, f16)
ROWS_TO_FRACTALS(MOV_OUT_TO_L1_MULTI_ND2NZ_bf16, bf16)
LOAD_MATRIX(LOAD_L1_TO_L0A_3DV2_f32, L0A, f32)
LOAD_MATRIX(LOAD_L1_TO_L0B_3DV2_f32, L0B, f32)
LOAD_MATRIX(LOAD_L1_TO_L0A_3DV2_f16, L0A, f16)  // moves bits: bfloat16 too
LOAD_MATRIX(LOAD_L1_TO_L0B_3DV2_f16, L0B, f16)
MULTIPLY(MAD_f322f32, f32)
MULTIPLY(MAD_f162f32, f16)
MULTIPLY(MAD_bf162f32, bf16)
void hivm_CREATE_CBUF_MATRIX_f32_h(Bytes d, uint64_t c, _Float16 v) {
  FillL1<f32>(CREATE_CBUF_MATRIX_f32_h, d, {c}, float(v));
}
void hivm_CREATE_CBUF_MATRIX_f16_h(Bytes d, uint64_t c, _Float16 v) {
  FillL1<f16>(CREATE_CBUF_MATRIX_f16_h, d, {c}, float(v));
}
void hivm_CREATE_CBUF_MATRIX_bf16_ori(Bytes d, uint64_t c,
                                      _Float16 v) {  // bfloat16 and float16 zeros have the same bits
  FillL1<bf16>(CREATE_CBUF_MATRIX_bf16_ori, d, {c}, float(v));
}
void hivm_FIX_L0C_TO_OUT_f32(Bytes d, Bytes s, uint64_t a, uint64_t b) {
  ResultToGlobal<f32>(FIX_L0C_TO_OUT_f32, d, s, {a, b});
}
void hivm_SET_FMATRIX(uint64_t value) { registers.feature_map[0] = value; }
void hivm_SET_FMATRIX_B(uint64_t value) { registers.feature_map[1] = value; }
void hivm_SET_ND_PARA(uint64_t value) { registers.matrices = value; }
void hivm_SET_QUANT_PRE(uint64_t) {}  // the factor of a quantising store, which the store refuses
void hivm_MOV_L1_TO_BT(uint64_t, void*, uint64_t) {
  Issue(MOV_L1_TO_BT, 1);
  NotModelled("the bias table");
}

}  // extern "C"
