// Conversions that LLVM calls for scalars of types which the host's instructions may lack.
#include <cstdint>
#include <cstring>

#include "numbers.h"

namespace {

_Float16 InRegister(uint16_t bits) {  // both 16-bit types travel in the same register
  _Float16 value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

uint16_t BitsOf(_Float16 value) {
  uint16_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

}  // namespace

extern "C" {

_Float16 __truncsfbf2(float value) { return InRegister(uint16_t(atlas::bf16::Put(value))); }
_Float16 __truncsfhf2(float value) { return InRegister(uint16_t(atlas::f16::Put(value))); }
float __extendhfsf2(_Float16 value) { return atlas::f16::Get(BitsOf(value)); }

}  // extern "C"
