// The fastest multiply-adds that the processor can do: independent chains in registers, nothing from memory. Inline
// assembly, so that one file serves every instruction set and no compiler setting can change it.
#include <cstdint>

extern "C" {

// Each returns after 24 * iterations instructions. Which to call is up to the caller: nothing is checked here.
#define THOR_TWELVE(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define THOR_CLOBBERS "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11"
#define THOR_PEAK(name, X)                                                                                   \
  __attribute__((visibility("default"))) void name(int64_t iterations) {                                     \
    asm volatile("1:\n" THOR_TWELVE(X) THOR_TWELVE(X) "dec %0\njnz 1b\n" : "+r"(iterations)::THOR_CLOBBERS); \
  }

#if defined(__x86_64__)
#define THOR_AVX2_FMA(i) "vfmadd231ps %%ymm14, %%ymm15, %%ymm" #i "\n"
#define THOR_AVX512_FMA(i) "vfmadd231ps %%zmm14, %%zmm15, %%zmm" #i "\n"
#define THOR_AVX512_BF16(i) "vdpbf16ps %%zmm14, %%zmm15, %%zmm" #i "\n"
THOR_PEAK(peak_avx2, THOR_AVX2_FMA)
THOR_PEAK(peak_avx512, THOR_AVX512_FMA)
THOR_PEAK(peak_avx512_bf16, THOR_AVX512_BF16)
#endif

}  // extern "C"
