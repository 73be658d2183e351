// What l2_norm.cc asks of portable.cc, avx2.cc and avx512.cc.
#ifndef THOR_L2_NORM_IMPLEMENTATION_H_
#define THOR_L2_NORM_IMPLEMENTATION_H_

#include <cstdint>

namespace thor {

// Sum of squares.
using L2NormImplementation = float (*)(const float* x, int64_t n);

extern const L2NormImplementation l2_norm_portable, l2_norm_avx2, l2_norm_avx512;

}  // namespace thor

#endif  // THOR_L2_NORM_IMPLEMENTATION_H_
