// The loops of attention, compiled once per instruction set.
#ifndef THOR_ATTENTION_BODY_H_
#define THOR_ATTENTION_BODY_H_

#include "attention/heads.h"
#include "attention/products.h"
#include "common/elementary.h"
#include "common/philox.h"

namespace {

// Scores become probabilities; returns the logarithm of the denominator.
inline float Softmax(int64_t columns, const float* mask, float* scores) {
  Floats largest = Set(-__builtin_inff());
  ForEachVector(columns, [&](int64_t j, auto lanes) {
    const Floats s = Load(scores + j, lanes) + Load(mask + j, lanes);
    Store(scores + j, s, lanes);
    largest = Max(largest, s);
  });
  const float top = MaxLanes(largest);
  const Floats shift = Set(top);
  const float sum = SumOverVectors(columns, [=](int64_t j, auto lanes) {
    const Floats e = Exp(Load(scores + j, lanes) - shift);
    Store(scores + j, e, lanes);
    return e;
  });
  const Floats scale = Set(1.0f / sum);
  ForEachVector(columns, [=](int64_t j, auto lanes) { Store(scores + j, Load(scores + j, lanes) * scale, lanes); });
  return top + __builtin_logf(sum);
}

template <typename T>
void Forward(const thor::AttentionArguments<T>& a, int64_t head, float* scratch) {
  const thor::AttentionShape& n = a.shape;
  const int64_t sequence = head / n.heads, offset = head % n.heads * n.head_size, stride = 3 * n.hidden;
  const int64_t matrix = n.padded_length * n.padded_size;
  float *const q = scratch, *const k = q + matrix, *const v = k + matrix, *const mask = v + matrix;
  float* const scores = mask + n.padded_length;
  if (!PadMask(n, a.mask + sequence * n.length, mask)) return ForgetHead(a, head);
  const T* const source = a.qkv + sequence * n.length * stride + offset;
  const float* const bias = a.bias + offset;
  PackHead(n, source, stride, bias, 1.0f / __builtin_sqrtf(n.head_size), q);
  PackTransposed(n, source + n.hidden, stride, bias + n.hidden, k);
  PackHead(n, source + 2 * n.hidden, stride, bias + 2 * n.hidden, 1.0f, v);
  for (int64_t first = 0; first < n.length; first += thor::kQueryBlock) {
    const int64_t rows = Smaller(thor::kQueryBlock, n.length - first);
    MultiplyTransposed(n, q, first, rows, k, scores);
    for (int64_t i = 0; i < rows; ++i) {
      float* const row = scores + i * n.padded_length;
      const int64_t index = head * n.length + first + i;
      a.log_sum_exp[index] = Softmax(n.padded_length, mask, row);
      if (a.dropout.threshold != 0)
        ForEachDropoutVector(a.dropout, index * n.length, n.length, [=](int64_t j, auto lanes, Floats scale) {
          Store(row + j, Load(row + j, lanes) * scale, lanes);
        });
    }
    T* const out = a.out + (sequence * n.length + first) * n.hidden + offset;
    MultiplyPanels(n, {scores, n.padded_length, 1}, rows, n.length, v, n.padded_length,
                   [&](int64_t i, int64_t j, Floats sum) { StoreColumns(n, out + i * n.hidden, j, sum); });
  }
}

// Row of scores and row of dP (the gradient of the dropped probabilities) become the dropped probabilities and the
// gradient of the scores: dS = P (dP' - sum P dP'), dP' = dP where kept, scaled.
inline void SoftmaxGradient(const thor::AttentionShape& n, const thor::Dropout& dropout, uint64_t index,
                            const float* mask, float log_sum_exp, float* scores, float* dscores) {
  const Floats shift = Set(log_sum_exp);
  ForEachVector(n.padded_length, [=](int64_t j, auto lanes) {
    Store(scores + j, Exp(Load(scores + j, lanes) + Load(mask + j, lanes) - shift), lanes);
  });
  if (dropout.threshold != 0)
    ForEachDropoutVector(dropout, index * n.length, n.length, [=](int64_t j, auto lanes, Floats scale) {
      Store(dscores + j, Load(dscores + j, lanes) * scale, lanes);
    });
  const float dot = SumOverVectors(
      n.padded_length, [=](int64_t j, auto lanes) { return Load(scores + j, lanes) * Load(dscores + j, lanes); });
  const Floats mean = Set(dot);
  ForEachVector(n.padded_length, [=](int64_t j, auto lanes) {
    Store(dscores + j, Load(scores + j, lanes) * (Load(dscores + j, lanes) - mean), lanes);
  });
  if (dropout.threshold != 0)
    ForEachDropoutVector(dropout, index * n.length, n.length, [=](int64_t j, auto lanes, Floats scale) {
      Store(scores + j, Load(scores + j, lanes) * scale, lanes);
    });
}

template <typename T>
void Backward(const thor::AttentionGradArguments<T>& a, int64_t head, float* scratch) {
  const thor::AttentionShape& n = a.shape;
  const int64_t sequence = head / n.heads, offset = head % n.heads * n.head_size, stride = 3 * n.hidden;
  const int64_t matrix = n.padded_length * n.padded_size, block = thor::kQueryBlock * n.padded_length;
  float *const q = scratch, *const k = q + matrix, *const k_transposed = k + matrix;
  float *const v_transposed = k_transposed + matrix, *const dout = v_transposed + matrix;
  float *const dk = dout + matrix, *const dv = dk + matrix, *const scores = dv + matrix,
               *const dscores = scores + block;
  float* const mask = dscores + block;
  if (!PadMask(n, a.mask + sequence * n.length, mask)) return ForgetHead(a, head);
  const T* const source = a.qkv + sequence * n.length * stride + offset;
  const float* const bias = a.bias + offset;
  const float scale = 1.0f / __builtin_sqrtf(n.head_size);
  PackHead(n, source, stride, bias, scale, q);
  PackHead(n, source + n.hidden, stride, bias + n.hidden, 1.0f, k);
  PackTransposed(n, source + n.hidden, stride, bias + n.hidden, k_transposed);
  PackTransposed(n, source + 2 * n.hidden, stride, bias + 2 * n.hidden, v_transposed);
  PackHead(n, a.dout + sequence * n.length * n.hidden + offset, n.hidden, nullptr, 1.0f, dout);
  Zero(2 * matrix, dk);  // and dv
  float* const sums = a.bias_sums + sequence * stride + offset;
  T* const dqkv = a.dqkv + sequence * n.length * stride + offset;
  Zero(n.head_size, sums);
  for (int64_t first = 0; first < n.length; first += thor::kQueryBlock) {
    const int64_t rows = Smaller(thor::kQueryBlock, n.length - first);
    MultiplyTransposed(n, q, first, rows, k_transposed, scores);
    MultiplyTransposed(n, dout, first, rows, v_transposed, dscores);
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t index = head * n.length + first + i, row = i * n.padded_length;
      SoftmaxGradient(n, a.dropout, index, mask, a.log_sum_exp[index], scores + row, dscores + row);
    }
    Accumulate(n, {scores, 1, n.padded_length}, rows, dout + first * kLanes, n.padded_length, dv);
    Accumulate(n, {dscores, 1, n.padded_length}, rows, q + first * kLanes, n.padded_length, dk);
    MultiplyPanels(
        n, {dscores, n.padded_length, 1}, rows, n.length, k, n.padded_length, [&](int64_t i, int64_t j, Floats sum) {
          const Floats value = sum * Set(scale);
          StoreColumns(n, dqkv + (first + i) * stride, j, value);
          StoreColumns(n, sums, j, Load(sums + j, First{static_cast<int>(Smaller(kLanes, n.head_size - j))}) + value);
        });
  }
  StorePanels(n, dk, dqkv + n.hidden, sums + n.hidden);
  StorePanels(n, dv, dqkv + 2 * n.hidden, sums + 2 * n.hidden);
}

constexpr thor::AttentionImplementation kImplementation = {{Forward<float>, Backward<float>},
                                                           {Forward<uint16_t>, Backward<uint16_t>}};

}  // namespace

#endif  // THOR_ATTENTION_BODY_H_
