// The types of the vector and cube units: how each is stored, and the host type that it is computed in.
#ifndef THOR_ATLAS_NUMBERS_H_
#define THOR_ATLAS_NUMBERS_H_

#include <cmath>
#include <cstdint>
#include <cstring>

namespace atlas {

inline float FloatOfBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline uint32_t BitsOfFloat(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

// Rounds to an integral value. The letters are those of the intrinsics' names: r nearest, ties to even; a nearest, ties
// away from zero; f down; c up; z towards zero.
template <char kMode>
double RoundToIntegral(double x) {
  switch (kMode) {
    case 'a':
      return std::round(x);
    case 'f':
      return std::floor(x);
    case 'c':
      return std::ceil(x);
    case 'z':
      return std::trunc(x);
    default:
      return std::nearbyint(x);
  }
}

// A float32 with `kKept` mantissa bits kept and exponents not below `kSmallest`; 'o' rounds to odd.
template <char kMode>
double RoundToBits(double x, int kept, int smallest) {
  if (x == 0 || !std::isfinite(x)) return x;
  int exponent;
  std::frexp(x, &exponent);
  const int unit = (exponent - 1 < smallest ? smallest : exponent - 1) - kept;
  const double scaled = std::ldexp(x, -unit);
  if (kMode == 'o') {
    const double down = std::trunc(scaled);
    const bool exact = down == scaled, odd = std::fmod(down, 2.0) != 0;
    return std::ldexp(exact || odd ? down : down + std::copysign(1.0, scaled), unit);
  }
  return std::ldexp(RoundToIntegral<kMode>(scaled), unit);
}

struct f32 {
  using Raw = uint32_t;
  using Value = float;
  static Value Get(uint32_t raw) { return FloatOfBits(raw); }
  template <char kMode = 'r'>
  static uint32_t Put(double value) {
    return BitsOfFloat(float(value));
  }
};

struct f16 {
  using Raw = uint16_t;
  using Value = float;
  static Value Get(uint32_t raw) {
    const int exponent = raw >> 10 & 31, fraction = raw & 1023;
    const float sign = raw >> 15 & 1 ? -1.0f : 1.0f;
    if (exponent == 31) return fraction ? NAN : sign * INFINITY;
    return sign * (exponent ? std::ldexp(float(fraction | 1024), exponent - 25) : std::ldexp(float(fraction), -24));
  }
  template <char kMode = 'r'>
  static uint32_t Put(double value) {
    const uint32_t sign = std::signbit(value) ? 0x8000 : 0;
    if (std::isnan(value)) return 0x7E00;
    const double size = std::fabs(RoundToBits<kMode>(value, 10, -14));
    if (size >= 65536) return sign | 0x7C00;
    if (size < std::ldexp(1.0, -14)) return sign | uint32_t(std::ldexp(size, 24));
    int exponent;
    std::frexp(size, &exponent);
    return sign | uint32_t(exponent + 14) << 10 | (uint32_t(std::ldexp(size, 11 - exponent)) & 1023);
  }
};

struct bf16 {
  using Raw = uint16_t;
  using Value = float;
  static Value Get(uint32_t raw) { return FloatOfBits(raw << 16); }
  template <char kMode = 'r'>
  static uint32_t Put(double value) {
    if (std::isnan(value)) return 0x7FC0;
    return BitsOfFloat(float(RoundToBits<kMode>(value, 7, -126))) >> 16;
  }
};

template <class Storage>
struct Integer {
  using Raw = Storage;
  using Value = int64_t;
  static Value Get(uint32_t raw) { return Storage(raw); }
  template <char kMode = 'r'>
  static uint32_t Put(double value) {  // saturates; NaN becomes 0 (assumed)
    if (std::isnan(value)) return 0;
    const double low = sizeof(Storage) == 4 ? -0x1p31 : Storage(-1) < 0 ? -std::ldexp(1.0, 8 * sizeof(Storage) - 1) : 0;
    const double high =
        Storage(-1) < 0 ? std::ldexp(1.0, 8 * sizeof(Storage) - 1) - 1 : std::ldexp(1.0, 8 * sizeof(Storage)) - 1;
    return uint32_t(int64_t(std::fmin(std::fmax(RoundToIntegral<kMode>(value), low), high)));
  }
};

using s32 = Integer<int32_t>;
using s16 = Integer<int16_t>;
using s8 = Integer<int8_t>;
using u8 = Integer<uint8_t>;
using u16 = Integer<uint16_t>;
using u32 = Integer<uint32_t>;

}  // namespace atlas

#endif  // THOR_ATLAS_NUMBERS_H_
