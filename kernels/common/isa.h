// Which instruction set the kernels use: found once by CPUID, lowered (never raised) by the environment variable
// THOR_MAX_ISA.
#ifndef THOR_COMMON_ISA_H_
#define THOR_COMMON_ISA_H_

#include "common/export.h"

#ifdef __cplusplus
extern "C" {
#endif

enum thor_isa {
  THOR_PORTABLE = 0,
  THOR_AVX2 = 1,         // AVX2, FMA, F16C
  THOR_AVX512 = 2,       // AVX-512 F, BW, DQ, VL (and all of THOR_AVX2)
  THOR_AVX512_BF16 = 3,  // and AVX512_BF16
};

// The instruction set in use. THOR_MAX_ISA = portable | avx2 | avx512 | avx512_bf16 is read at the first call.
THOR_EXPORT int thor_isa(void);

// The best instruction set that this processor and operating system offer, whatever THOR_MAX_ISA says.
THOR_EXPORT int thor_isa_supported(void);

// Changes the instruction set for this process (for tests and benchmarks); returns the one in use afterwards: the
// smaller of the request and what the processor offers.
THOR_EXPORT int thor_set_isa(int isa);

// Version of this ABI: the loader refuses a library of another one.
THOR_EXPORT int thor_abi_version(void);

#ifdef __cplusplus
}
#endif
#endif  // THOR_COMMON_ISA_H_
