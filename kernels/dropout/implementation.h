// What dropout.cc asks of body.h.
#ifndef THOR_DROPOUT_IMPLEMENTATION_H_
#define THOR_DROPOUT_IMPLEMENTATION_H_

#include <cstdint>

#include "common/dispatch.h"
#include "common/dropout.h"

namespace thor {

struct DropoutImplementation {
  // Elements [begin, end).
  void (*f32)(const Dropout&, const float* x, float* y, int64_t begin, int64_t end);
  void (*bf16)(const Dropout&, const uint16_t* x, uint16_t* y, int64_t begin, int64_t end);
  void (*words)(const Dropout&, uint64_t block, int64_t blocks, uint32_t* words);
};

THOR_DECLARE_IMPLEMENTATIONS(DropoutImplementation, dropout);

}  // namespace thor

#endif  // THOR_DROPOUT_IMPLEMENTATION_H_
