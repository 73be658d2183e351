// An operation's implementations, one per instruction set that its body.h is compiled for, and which of them runs.
#ifndef THOR_COMMON_DISPATCH_H_
#define THOR_COMMON_DISPATCH_H_

#include "common/isa.h"

// Their declarations; the build defines them (cmake/implementation.cc.in).
#define THOR_DECLARE_IMPLEMENTATIONS(type, operation) \
  extern const type operation##_portable, operation##_avx2, operation##_avx512, operation##_avx512_bf16

// The implementation for the instruction set in use.
#ifdef THOR_X86
#define THOR_CHOOSE(operation)                              \
  (thor_isa() >= THOR_AVX512_BF16 ? operation##_avx512_bf16 \
   : thor_isa() >= THOR_AVX512    ? operation##_avx512      \
   : thor_isa() >= THOR_AVX2      ? operation##_avx2        \
                                  : operation##_portable)
#else
#define THOR_CHOOSE(operation) operation##_portable
#endif

#endif  // THOR_COMMON_DISPATCH_H_
