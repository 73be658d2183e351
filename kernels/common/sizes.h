// Sizes that a caller passes, checked before any arithmetic with them can overflow.
#ifndef THOR_COMMON_SIZES_H_
#define THOR_COMMON_SIZES_H_

#include <cstdint>
#include <initializer_list>

namespace thor {

// Whether an array of these sizes could exist: no size is negative, and the product of those above 0 leaves room in an
// int64_t for the bytes of any element type, for padding and for a few such arrays together.
inline bool CouldExist(const int64_t* sizes, int64_t count) {
  int64_t room = INT64_MAX / 256;
  for (int64_t i = 0; i < count; ++i) {
    if (sizes[i] < 0 || sizes[i] > room) return false;
    if (sizes[i] > 0) room /= sizes[i];
  }
  return true;
}
inline bool CouldExist(std::initializer_list<int64_t> sizes) {
  return CouldExist(sizes.begin(), static_cast<int64_t>(sizes.size()));
}

}  // namespace thor

#endif  // THOR_COMMON_SIZES_H_
