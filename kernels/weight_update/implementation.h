// What weight_update.cc asks of portable.cc, avx2.cc and avx512.cc.
#ifndef THOR_WEIGHT_UPDATE_IMPLEMENTATION_H_
#define THOR_WEIGHT_UPDATE_IMPLEMENTATION_H_

#include <cstdint>

namespace thor {

// next = kept weight - step direction.
using WeightUpdateImplementation = void (*)(const float* weight, const float* direction, int64_t n, float kept,
                                            float step, float* next);

extern const WeightUpdateImplementation weight_update_portable, weight_update_avx2, weight_update_avx512;

}  // namespace thor

#endif  // THOR_WEIGHT_UPDATE_IMPLEMENTATION_H_
