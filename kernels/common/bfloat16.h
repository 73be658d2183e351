// One element of an array as a float, in code for no particular instruction set.
#ifndef THOR_COMMON_BFLOAT16_H_
#define THOR_COMMON_BFLOAT16_H_

#include <cstdint>
#include <cstring>

namespace thor {

inline float ToFloat(float x) { return x; }
// bfloat16: the upper half of a float.
inline float ToFloat(uint16_t upper) {
  const uint32_t bits = static_cast<uint32_t>(upper) << 16;
  float x;
  std::memcpy(&x, &bits, sizeof(x));
  return x;
}

}  // namespace thor

#endif  // THOR_COMMON_BFLOAT16_H_
