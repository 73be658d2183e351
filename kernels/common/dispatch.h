// Which of an operation's implementations runs.
#ifndef THOR_COMMON_DISPATCH_H_
#define THOR_COMMON_DISPATCH_H_

#include "common/isa.h"

// The implementation for the instruction set in use: operation_portable, operation_avx2 or operation_avx512.
#ifdef THOR_X86
#define THOR_CHOOSE(operation) \
  (thor_isa() >= THOR_AVX512 ? operation##_avx512 : thor_isa() >= THOR_AVX2 ? operation##_avx2 : operation##_portable)
#else
#define THOR_CHOOSE(operation) operation##_portable
#endif

#endif  // THOR_COMMON_DISPATCH_H_
