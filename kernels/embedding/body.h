// The loops of embedding, compiled once per instruction set.
#ifndef THOR_EMBEDDING_BODY_H_
#define THOR_EMBEDDING_BODY_H_

#include "common/lanes.h"
#include "embedding/implementation.h"

namespace {

void Narrow(const float* row, int64_t features, uint16_t* target) {
  ForEachVector(features, [=](int64_t j, auto lanes) { Store(target + j, Load(row + j, lanes), lanes); });
}

template <typename T>
void Add(const T* row, int64_t features, float* sums) {
  ForEachVector(features,
                [=](int64_t j, auto lanes) { Store(sums + j, Load(sums + j, lanes) + Load(row + j, lanes), lanes); });
}

constexpr thor::EmbeddingImplementation kImplementation = {Narrow, Add<float>, Add<uint16_t>};

}  // namespace

#endif  // THOR_EMBEDDING_BODY_H_
