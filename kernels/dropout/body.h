// The loops of dropout, compiled once per instruction set.
#ifndef THOR_DROPOUT_BODY_H_
#define THOR_DROPOUT_BODY_H_

#include "common/philox.h"
#include "dropout/implementation.h"

namespace {

template <typename T>
void DropElements(const thor::Dropout& d, const T* x, T* y, int64_t begin, int64_t end) {
  ForEachDropoutVector(d, begin, end - begin, [=](int64_t j, auto lanes, Floats scale) {
    Store(y + begin + j, Load(x + begin + j, lanes) * scale, lanes);
  });
}

void PhiloxWords(const thor::Dropout& d, uint64_t block, int64_t blocks, uint32_t* words) {
  for (int64_t b = 0; b < blocks; b += kPhiloxWords / 4) {
    uint32_t eight[kPhiloxWords];
    Words low, high;
    PhiloxBlocks(d, block + b, High(CountFrom(block + b)), &low, &high);
    Store(eight, low);
    Store(eight + kLanes, high);
    for (int i = 0; i < kPhiloxWords && b + i / 4 < blocks; ++i) words[4 * b + i] = eight[i];
  }
}

constexpr thor::DropoutImplementation kImplementation = {DropElements<float>, DropElements<uint16_t>, PhiloxWords};

}  // namespace

#endif  // THOR_DROPOUT_BODY_H_
