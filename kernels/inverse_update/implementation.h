// What inverse_update.cc asks of portable.cc, avx2.cc and avx512.cc.
#ifndef THOR_INVERSE_UPDATE_IMPLEMENTATION_H_
#define THOR_INVERSE_UPDATE_IMPLEMENTATION_H_

#include <cstdint>

namespace thor {

// The largest column sum of absolute values of a block [edge, edge]; NaN if one of them is. `sums` has room for edge.
using InverseUpdateImplementation = float (*)(const float* block, int64_t edge, float* sums);

extern const InverseUpdateImplementation inverse_update_portable, inverse_update_avx2, inverse_update_avx512;

}  // namespace thor

#endif  // THOR_INVERSE_UPDATE_IMPLEMENTATION_H_
