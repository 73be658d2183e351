// What add.cc asks of body.h.
#ifndef THOR_ADD_IMPLEMENTATION_H_
#define THOR_ADD_IMPLEMENTATION_H_

#include <cstdint>

#include "common/dispatch.h"

namespace thor {

template <typename T>
using AddLoop = void (*)(const T* a, const T* b, int64_t n, T* y);

struct AddImplementation {
  AddLoop<float> f32;
  AddLoop<uint16_t> bf16;
};

THOR_DECLARE_IMPLEMENTATIONS(AddImplementation, add);

}  // namespace thor

#endif  // THOR_ADD_IMPLEMENTATION_H_
