#include "common/isa.h"

#include <atomic>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int kAbiVersion = 1;
const char* const kNames[] = {"portable", "avx2", "avx512", "avx512_bf16"};

int Supported() {
#ifdef THOR_X86
  // GCC's builtin also asks the operating system (XGETBV) whether it saves the wide registers.
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("f16c"))
    return THOR_PORTABLE;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
    return THOR_AVX2;
  return __builtin_cpu_supports("avx512bf16") ? THOR_AVX512_BF16 : THOR_AVX512;
#else
  return THOR_PORTABLE;
#endif
}

int FromEnvironment(int supported) {
  const char* request = std::getenv("THOR_MAX_ISA");
  if (request == nullptr) return supported;
  for (int isa = THOR_PORTABLE; isa <= supported; ++isa)
    if (std::strcmp(request, kNames[isa]) == 0) return isa;
  return supported;  // an unknown name is refused with a sentence by the Python loader
}

std::atomic<int>& Current() {
  static std::atomic<int> isa{FromEnvironment(thor_isa_supported())};
  return isa;
}

}  // namespace

extern "C" {

int thor_isa_supported(void) {
  static const int supported = Supported();
  return supported;
}

int thor_isa(void) { return Current().load(std::memory_order_relaxed); }

int thor_set_isa(int isa) {
  const int highest = thor_isa_supported();
  Current().store(isa < THOR_PORTABLE ? THOR_PORTABLE : (isa > highest ? highest : isa));
  return thor_isa();
}

int thor_abi_version(void) { return kAbiVersion; }

}  // extern "C"
