// The loops of Adam, compiled once per instruction set.
#ifndef THOR_ADAM_BODY_H_
#define THOR_ADAM_BODY_H_

#include "adam/implementation.h"
#include "common/lanes.h"

namespace {

// g, or `largest` with its sign where it is larger; NaN where it is not finite.
THOR_INLINE Floats Bounded(Floats g, float largest) { return Max(Set(-largest), Min(Set(largest), g)) - (g - g); }

// finish(i, direction, lanes) for every vector, after the moments are stored.
template <typename Finish>
THOR_INLINE void MoveMoments(const thor::AdamTensors& t, int64_t begin, int64_t count, const thor::AdamNumbers& n,
                             Finish finish) {
  ForEachVector(count, [=](int64_t offset, auto lanes) {
    const int64_t i = begin + offset;
    const Floats g = Bounded(Load(t.gradient + i, lanes), n.largest);
    const Floats m = MultiplyAdd(Set(n.old_first), Load(t.first + i, lanes), Set(n.new_first) * g);
    const Floats v = MultiplyAdd(Set(n.old_second), Load(t.second + i, lanes), Set(n.new_second) * g * g);
    Store(t.next_first + i, m, lanes);
    Store(t.next_second + i, v, lanes);
    finish(i, Set(n.correction) * m * Reciprocal(Sqrt(v) + Set(n.eps)), lanes);
  });
}

void Direction(const thor::AdamTensors& tensors, int64_t begin, int64_t count, const thor::AdamNumbers& numbers) {
  const thor::AdamTensors t = tensors;  // a copy, which no store can reach
  MoveMoments(t, begin, count, numbers,
              [=](int64_t i, Floats direction, auto lanes) { Store(t.result + i, direction, lanes); });
}

void Update(const thor::AdamTensors& tensors, int64_t begin, int64_t count, const thor::AdamNumbers& numbers) {
  const thor::AdamTensors t = tensors;
  const thor::AdamNumbers n = numbers;
  MoveMoments(t, begin, count, n, [=](int64_t i, Floats direction, auto lanes) {
    Store(t.result + i, Set(n.kept) * Load(t.weight + i, lanes) - Set(n.rate) * direction, lanes);
  });
}

constexpr thor::AdamImplementation kImplementation = {Direction, Update};

}  // namespace

#endif  // THOR_ADAM_BODY_H_
