// What embedding.cc asks of body.h: one row at a time.
#ifndef THOR_EMBEDDING_IMPLEMENTATION_H_
#define THOR_EMBEDDING_IMPLEMENTATION_H_

#include <cstdint>

#include "common/dispatch.h"

namespace thor {

struct EmbeddingImplementation {
  // target = row, rounded to bfloat16.
  void (*narrow)(const float* row, int64_t features, uint16_t* target);
  // sums += row
  void (*add_f32)(const float* row, int64_t features, float* sums);
  void (*add_bf16)(const uint16_t* row, int64_t features, float* sums);
};

THOR_DECLARE_IMPLEMENTATIONS(EmbeddingImplementation, embedding);

}  // namespace thor

#endif  // THOR_EMBEDDING_IMPLEMENTATION_H_
