// What adam.cc asks of portable.cc, avx2.cc and avx512.cc.
#ifndef THOR_ADAM_IMPLEMENTATION_H_
#define THOR_ADAM_IMPLEMENTATION_H_

#include <cstdint>

namespace thor {

// The weights of the old moments and of what is new, with the gradient's factor in the new ones' weights.
struct AdamWeights {
  float old_first, new_first, old_second, new_second, correction, eps;
};

using AdamImplementation = void (*)(const float* first, const float* second, const float* gradient, int64_t n,
                                    const AdamWeights& weights, float* next_first, float* next_second,
                                    float* direction);

extern const AdamImplementation adam_portable, adam_avx2, adam_avx512;

}  // namespace thor

#endif  // THOR_ADAM_IMPLEMENTATION_H_
