// What the loops of both storage types share: the mask of a sequence, and the sequence that is masked everywhere.
#ifndef THOR_ATTENTION_HEADS_H_
#define THOR_ATTENTION_HEADS_H_

#include "attention/implementation.h"
#include "common/lanes.h"

namespace {

template <typename T>
THOR_INLINE void Zero(int64_t n, T* p) {
  ForEachVector(n, [=](int64_t j, auto lanes) { Store(p + j, Set(0), lanes); });
}

// The mask of a sequence, -infinity where a key counts for nothing and beyond the end; whether any key counts.
inline bool PadMask(const thor::AttentionShape& n, const float* mask, float* padded) {
  bool any = false;
  for (int64_t j = 0; j < n.padded_length; ++j) {
    const bool masked = j >= n.length || mask[j] <= thor::kMasked;
    padded[j] = masked ? -__builtin_inff() : mask[j];
    any |= !masked;
  }
  return any;
}

// The results of a head of a sequence in which no key counts.
template <typename T>
void ForgetHead(const thor::AttentionArguments<T>& a, int64_t head) {
  const thor::AttentionShape& n = a.shape;
  const int64_t sequence = head / n.heads, offset = head % n.heads * n.head_size;
  for (int64_t i = 0; i < n.length; ++i) {
    Zero(n.head_size, a.out + (sequence * n.length + i) * n.hidden + offset);
    a.log_sum_exp[head * n.length + i] = -__builtin_inff();
  }
}
template <typename T>
void ForgetHead(const thor::AttentionGradArguments<T>& a, int64_t head) {
  const thor::AttentionShape& n = a.shape;
  const int64_t sequence = head / n.heads, offset = head % n.heads * n.head_size;
  for (int64_t third = 0; third < 3; ++third) {
    const int64_t column = third * n.hidden + offset;
    for (int64_t i = 0; i < n.length; ++i)
      Zero(n.head_size, a.dqkv + (sequence * n.length + i) * 3 * n.hidden + column);
    Zero(n.head_size, a.bias_sums + sequence * 3 * n.hidden + column);
  }
}

}  // namespace

#endif  // THOR_ATTENTION_HEADS_H_
