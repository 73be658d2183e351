// What factor_average.cc asks of portable.cc, avx2.cc and avx512.cc.
#ifndef THOR_FACTOR_AVERAGE_IMPLEMENTATION_H_
#define THOR_FACTOR_AVERAGE_IMPLEMENTATION_H_

#include <cstdint>

namespace thor {

// next = keep factor + fresh (scale captured), each operation rounded on its own.
using FactorAverageImplementation = void (*)(const float* factor, const float* captured, int64_t n, float keep,
                                             float fresh, float scale, float* next);

extern const FactorAverageImplementation factor_average_portable, factor_average_avx2, factor_average_avx512;

}  // namespace thor

#endif  // THOR_FACTOR_AVERAGE_IMPLEMENTATION_H_
