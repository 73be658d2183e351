// The loop of add, compiled once per instruction set.
#ifndef THOR_ADD_BODY_H_
#define THOR_ADD_BODY_H_

#include "add/implementation.h"
#include "common/lanes.h"

namespace {

template <typename T>
void AddElements(const T* a, const T* b, int64_t n, T* y) {
  ForEachVector(n, [=](int64_t i, auto lanes) { Store(y + i, Load(a + i, lanes) + Load(b + i, lanes), lanes); });
}

constexpr thor::AddImplementation kImplementation = {AddElements<float>, AddElements<uint16_t>};

}  // namespace

#endif  // THOR_ADD_BODY_H_
