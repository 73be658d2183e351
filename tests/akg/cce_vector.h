// The vector instructions of Ascend 910 that AKG emits, for cce_machine.h. A type without an overload has no
// instruction.
#pragma once

#include "cce_machine.h"

constexpr int kBlocks = 8;  // of a repeat

inline bool Active(int lane) { return (lane < 64 ? machine.mask_low >> lane : machine.mask_high >> (lane - 64)) & 1; }

// One operand: where its lanes are, and the checks on what an instruction touches.
template <class T>
struct Operand {
  T* base;
  int64_t block_stride, repeat_stride;  // in 32-byte blocks

  T* Lane(int64_t repeat, int lane) const {
    constexpr int in_block = kBlock / sizeof(T);
    return base + (repeat * repeat_stride + lane / in_block * block_stride) * in_block + lane % in_block;
  }

  void Check(int64_t repeats, int lanes, bool write, const char* name) const {
    constexpr int in_block = kBlock / sizeof(T);
    CheckAligned(base, kBlock, name);
    CheckField(block_stride, 65535, name);
    CheckField(repeat_stride, 255, name);
    for (int64_t r = 0; r < repeats; ++r) {
      for (int block = 0; block * in_block < lanes; ++block) {
        bool used = false;
        for (int i = 0; i < in_block; ++i) used = used || Active(block * in_block + i);
        if (used) Touch(Lane(r, block * in_block), kBlock, UBUF, PIPE_V, write, name);
      }
    }
  }
};

inline void CheckRepeats(int64_t repeats, int lanes, const char* name) {
  CheckField(repeats - 1, 254, name);
  Require(lanes == 128 || machine.mask_high == 0 || machine.mask_high == ~0ull,
          "a mask over lanes that the type does not have", name);
}

// target = f(sources...), lane by lane; a repeat reads everything before it writes.
template <class T, class F, class... S>
void Apply(const char* name, int64_t repeats, F f, Operand<T> target, Operand<S>... sources) {
  Begin(PIPE_V);
  size_t widest = sizeof(T);
  ((widest = std::max(widest, sizeof(S))), ...);
  int lanes = kRepeat / widest;
  CheckRepeats(repeats, lanes, name);
  (sources.Check(repeats, lanes, false, name), ...);
  target.Check(repeats, lanes, true, name);
  for (int64_t r = 0; r < repeats; ++r) {
    T results[128];
    for (int i = 0; i < lanes; ++i) {
      if (Active(i)) results[i] = f(*sources.Lane(r, i)...);
    }
    for (int i = 0; i < lanes; ++i) {
      if (Active(i)) *target.Lane(r, i) = results[i];
    }
  }
}

template <class T>
using IfFloating = std::enable_if_t<std::is_same_v<T, half> || std::is_same_v<T, float>>;
template <class T>
using IfNumber = std::enable_if_t<std::is_same_v<T, half> || std::is_same_v<T, float> || std::is_same_v<T, int32_t>>;

#define BINARY(NAME, ALLOWED, EXPRESSION)                                                                           \
  template <class T, class = ALLOWED<T>>                                                                            \
  void NAME(T* to, T* x, T* y, int64_t n, int64_t tb, int64_t xb, int64_t yb, int64_t tr, int64_t xr, int64_t yr) { \
    auto f = [](T a, T b) { return static_cast<T>(EXPRESSION); };                                                   \
    Apply(#NAME, n, f, Operand<T>{to, tb, tr}, Operand<T>{x, xb, xr}, Operand<T>{y, yb, yr});                       \
  }
BINARY(vadd, IfNumber, a + b)
BINARY(vsub, IfNumber, a - b)
BINARY(vmul, IfNumber, a* b)
BINARY(vmax, IfNumber, a > b ? a : b)
BINARY(vmin, IfNumber, a < b ? a : b)
BINARY(vdiv, IfFloating, a / b)

#define UNARY(NAME, EXPRESSION)                                                       \
  template <class T, class = IfFloating<T>>                                           \
  void NAME(T* to, T* x, int64_t n, int64_t tb, int64_t xb, int64_t tr, int64_t xr) { \
    auto f = [](T a) { return static_cast<T>(EXPRESSION); };                          \
    Apply(#NAME, n, f, Operand<T>{to, tb, tr}, Operand<T>{x, xb, xr});                \
  }
UNARY(vabs, std::fabs(static_cast<float>(a)))
UNARY(vsqrt, std::sqrt(static_cast<float>(a)))
UNARY(vexp, std::exp(static_cast<float>(a)))
UNARY(vln, std::log(static_cast<float>(a)))

#define WITH_SCALAR(NAME, EXPRESSION)                                                                \
  template <class T, class = IfFloating<T>>                                                          \
  void NAME(T* to, T* x, double scalar, int64_t n, int64_t tb, int64_t xb, int64_t tr, int64_t xr) { \
    T b = static_cast<T>(scalar);                                                                    \
    auto f = [b](T a) { return static_cast<T>(EXPRESSION); };                                        \
    Apply(#NAME, n, f, Operand<T>{to, tb, tr}, Operand<T>{x, xb, xr});                               \
  }
WITH_SCALAR(vadds, a + b)
WITH_SCALAR(vmuls, a* b)

template <class T, class = IfNumber<T>>
void vector_dup(T* to, double scalar, int64_t n, int64_t tb, int64_t, int64_t tr, int64_t) {
  T value = static_cast<T>(scalar);
  Apply("vector_dup", n, [value] { return value; }, Operand<T>{to, tb, tr});
}

// target += x * scalar
template <class T, class = IfFloating<T>>
void vaxpy(T* to, T* x, double scalar, int64_t n, int64_t tb, int64_t xb, int64_t tr, int64_t xr) {
  T b = static_cast<T>(scalar);
  auto f = [b](T total, T a) { return static_cast<T>(total + a * b); };
  Apply("vaxpy", n, f, Operand<T>{to, tb, tr}, Operand<T>{to, tb, tr}, Operand<T>{x, xb, xr});
}

inline void vconv_f162f32(float* to, half* x, int64_t n, int64_t tb, int64_t xb, int64_t tr, int64_t xr) {
  Apply(
      "vconv_f162f32", n, [](half a) { return static_cast<float>(a); }, Operand<float>{to, tb, tr},
      Operand<half>{x, xb, xr});
}
inline void vconv_f322f16(half* to, float* x, int64_t n, int64_t tb, int64_t xb, int64_t tr, int64_t xr) {
  Apply(
      "vconv_f322f16", n, [](float a) { return static_cast<half>(a); }, Operand<half>{to, tb, tr},
      Operand<float>{x, xb, xr});
}

// target[r * target_repeat] = sum of the active lanes of repeat r, as a tree of neighbours.
template <class T, class = IfFloating<T>>
void vcadd(T* to, T* x, int64_t n, int64_t target_repeat, int64_t xb, int64_t xr) {
  constexpr int lanes = kRepeat / sizeof(T);
  Begin(PIPE_V);
  CheckRepeats(n, lanes, "vcadd");
  CheckAligned(to, sizeof(T), "vcadd");
  Operand<T> source{x, xb, xr};
  source.Check(n, lanes, false, "vcadd");
  for (int64_t r = 0; r < n; ++r) {
    T sums[lanes];
    for (int i = 0; i < lanes; ++i) sums[i] = Active(i) ? *source.Lane(r, i) : static_cast<T>(0);
    for (int width = lanes / 2; width > 0; width /= 2) {
      for (int i = 0; i < width; ++i) sums[i] = sums[2 * i] + sums[2 * i + 1];
    }
    Touch(to + r * target_repeat, sizeof(T), UBUF, PIPE_V, true, "vcadd");
    to[r * target_repeat] = sums[0];
  }
}
