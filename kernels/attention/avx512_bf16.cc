// Attention on bfloat16 storage with the products in hardware.
//
// q, k and v are multiplied as they are stored: their biases come in afterwards, in float, and are never rounded.
//   scores[i,j] = (q_i . k_j + bq . k_j) / sqrt(d) + mask_j, plus (q_i + bq) . bk / sqrt(d), which a softmax forgets
//   out_i = sum_j w[i,j] v_j + (sum_j w[i,j]) bv, w = dropout(P)        dw[i,j] = dout_i . v_j + dout_i . bv
//   dq_i = sum_j ds[i,j] k_j / sqrt(d), since sum_j ds[i,j] = 0         dv_j = sum_i w[i,j] dout_i
//   dk_j = (sum_i ds[i,j] q_i + (sum_i ds[i,j]) bq) / sqrt(d)
#include "attention/body.h"
#include "attention/pairs.h"

namespace {

// One head of one sequence: where its columns lie, and its biases.
struct Head {
  int64_t sequence, offset, stride;
  float scale;
  const uint16_t *q, *k, *v;
  const float *q_bias, *k_bias, *v_bias;
};

template <class Arguments>
Head FindHead(const Arguments& a, int64_t head) {
  const thor::AttentionShape& n = a.shape;
  const int64_t sequence = head / n.heads, offset = head % n.heads * n.head_size, stride = 3 * n.hidden;
  const uint16_t* const q = a.qkv + sequence * n.length * stride + offset;
  const float* const bias = a.bias + offset;
  return {sequence,
          offset,
          stride,
          1.0f / __builtin_sqrtf(n.head_size),
          q,
          q + n.hidden,
          q + 2 * n.hidden,
          bias,
          bias + n.hidden,
          bias + 2 * n.hidden};
}

template <typename T>
float Dot(int64_t n, const T* x, const float* y) {
  return SumOverVectors(n, [=](int64_t j, auto lanes) { return Load(x + j, lanes) * Load(y + j, lanes); });
}

// What the scores of key j have beside q . k goes to its mask.
inline void AddToMask(const thor::AttentionShape& n, const Head& h, float* mask) {
  for (int64_t j = 0; j < n.length; ++j) mask[j] += h.scale * Dot(n.head_size, h.k + j * h.stride, h.q_bias);
}

// What a softmax forgets of the scores of query i.
inline float ForgottenTerm(const thor::AttentionShape& n, const Head& h, int64_t i) {
  return h.scale * (Dot(n.head_size, h.q + i * h.stride, h.k_bias) + Dot(n.head_size, h.q_bias, h.k_bias));
}

struct Normalizer {
  float inverse, kept;  // of the sum of the exponentials; what dropout leaves of the weights' sum
};

// A row of products q . k becomes the dropped exponentials, as bfloat16; *log_sum_exp gets the denominator's logarithm.
inline Normalizer Exponentials(const thor::AttentionShape& n, const thor::Dropout& dropout, uint64_t index, float scale,
                               const float* mask, float* row, float* log_sum_exp) {
  const Floats factor = Set(scale);
  Floats largest = Set(-__builtin_inff()), sum = Set(0), kept = Set(0);
  ForEachVector(n.padded_length, [&](int64_t j, auto lanes) {
    const Floats s = MultiplyAdd(Load(row + j, lanes), factor, Load(mask + j, lanes));
    Store(row + j, s, lanes);
    largest = Max(largest, s);
  });
  const float top = MaxLanes(largest);
  const Floats shift = Set(top);
  uint16_t* const weights = AsBfloat16(row);
  ForEachDropoutVector(dropout, index * n.length, n.length, [&](int64_t j, auto lanes, Floats keep) {
    const Floats e = Keep(Exp(Load(row + j, lanes) - shift), lanes);
    const Floats w = e * keep;
    sum = sum + e;
    kept = kept + w;
    Store(weights + j, w, lanes);
  });
  EndPairs(n.length, weights);
  const float total = SumLanes(sum);
  *log_sum_exp = top + __builtin_logf(total);
  return {1.0f / total, SumLanes(kept) / total};
}

void ForwardOfPairs(const thor::AttentionArguments<uint16_t>& a, int64_t head, float* scratch) {
  const thor::AttentionShape& n = a.shape;
  const Head h = FindHead(a, head);
  const int64_t matrix = n.padded_length * n.padded_size / 2;
  float *const q = scratch, *const k = q + matrix, *const v = k + matrix, *const mask = v + matrix;
  float* const scores = mask + n.padded_length;
  if (!PadMask(n, a.mask + h.sequence * n.length, mask)) return ForgetHead(a, head);
  AddToMask(n, h, mask);
  PackRows(n, h.q, h.stride, q);
  PackColumnPairs(n, h.k, h.stride, k);
  PackRowPairs(n, h.v, h.stride, v);
  for (int64_t first = 0; first < n.length; first += thor::kQueryBlock) {
    const int64_t rows = Smaller(thor::kQueryBlock, n.length - first);
    MultiplyColumnPairs(n, q, first, rows, k, scores);
    Normalizer normalizers[thor::kQueryBlock];
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t index = head * n.length + first + i;
      float* const log_sum_exp = a.log_sum_exp + index;
      normalizers[i] = Exponentials(n, a.dropout, index, h.scale, mask, scores + i * n.padded_length, log_sum_exp);
      *log_sum_exp += ForgottenTerm(n, h, first + i);
    }
    uint16_t* const out = a.out + (h.sequence * n.length + first) * n.hidden + h.offset;
    MultiplyPanels<MultiplyAddPairs>(
        n, {scores, n.padded_length, 1}, rows, Pairs(n.length), v, n.padded_length / 2,
        [&](int64_t i, int64_t j, Floats sum) {
          const Floats bias = Load(h.v_bias + j, First{static_cast<int>(Smaller(kLanes, n.head_size - j))});
          const Floats mixed = sum * Set(normalizers[i].inverse);
          StoreColumns(n, out + i * n.hidden, j, MultiplyAdd(bias, Set(normalizers[i].kept), mixed));
        });
  }
}

// Of one query: products q . k and dout . v become P and w (dw + of_query), w goes to `weights`; returns the sum of
// P dP.
inline float Weights(const thor::AttentionShape& n, const thor::Dropout& dropout, uint64_t index, float scale,
                     const float* mask, float log_sum_exp, float of_query, float* scores, float* dscores,
                     uint16_t* weights) {
  const Floats factor = Set(scale), shift = Set(log_sum_exp), more = Set(of_query);
  Floats dot = Set(0);
  ForEachDropoutVector(dropout, index * n.length, n.length, [&](int64_t j, auto lanes, Floats keep) {
    const Floats s = MultiplyAdd(Load(scores + j, lanes), factor, Load(mask + j, lanes));
    const Floats p = Keep(Exp(s - shift), lanes), w = p * keep;
    const Floats product = w * (Load(dscores + j, lanes) + more);
    dot = dot + product;
    Store(scores + j, p, lanes);
    Store(dscores + j, product, lanes);
    Store(weights + j, w, lanes);
  });
  return SumLanes(dot);
}

// Of two queries whose rows Weights has made: the first row of scores becomes the pairs of ds, the second that of the
// weights, and both rows of dscores become ds as bfloat16, ds = P dP - P (sum of P dP). sums += ds.
inline void PairRows(const thor::AttentionShape& n, const float (&dot)[2], const uint16_t* weights, float* scores,
                     float* dscores, float* sums) {
  const int64_t next = n.padded_length;
  const Floats mean[2] = {Set(dot[0]), Set(dot[1])};
  uint16_t *const even = AsBfloat16(dscores), *const odd = AsBfloat16(dscores + next);
  ForEachVector(n.length, [=](int64_t j, auto lanes) {
    const Floats ds[2] = {Load(dscores + j, lanes) - Load(scores + j, lanes) * mean[0],
                          Load(dscores + next + j, lanes) - Load(scores + next + j, lanes) * mean[1]};
    const __m256i bits[2] = {Narrow(ds[0]), Narrow(ds[1])};
    Store(sums + j, Load(sums + j, lanes) + (ds[0] + ds[1]), lanes);
    Store(scores + j, Interleave(bits[0], bits[1]), All{});
    Store(scores + next + j, Interleave(LoadBits(weights + j, lanes), LoadBits(weights + next + j, lanes)), All{});
    StoreBits(even + j, bits[0], lanes);
    StoreBits(odd + j, bits[1], lanes);
  });
  EndPairs(n.length, even);
  EndPairs(n.length, odd);
}

// panels = (panels + sums bias^T) scale
inline void AddBias(const thor::AttentionShape& n, const float* sums, const float* bias, float scale, float* panels) {
  ForEachVector(n.head_size, [=](int64_t j, auto lanes) {
    const Floats row = Load(bias + j, lanes);
    float* const panel = panels + j * n.padded_length;
    for (int64_t s = 0; s < n.length; ++s) {
      const Floats sum = MultiplyAdd(row, Set(sums[s]), Load(panel + s * kLanes, All{}));
      Store(panel + s * kLanes, sum * Set(scale), All{});
    }
  });
}

void BackwardOfPairs(const thor::AttentionGradArguments<uint16_t>& a, int64_t head, float* scratch) {
  const thor::AttentionShape& n = a.shape;
  const Head h = FindHead(a, head);
  const int64_t matrix = n.padded_length * n.padded_size, half = matrix / 2, next = n.padded_length;
  float *const q = scratch, *const dout = q + half, *const k_columns = dout + half, *const v_columns = k_columns + half;
  float *const q_pairs = v_columns + half, *const k_pairs = q_pairs + half, *const dout_pairs = k_pairs + half;
  float *const dk = dout_pairs + half, *const dv = dk + matrix, *const scores = dv + matrix;
  float *const dscores = scores + thor::kQueryBlock * next, *const mask = dscores + thor::kQueryBlock * next;
  float *const key_sums = mask + next, *const weights = key_sums + next;
  if (!PadMask(n, a.mask + h.sequence * n.length, mask)) return ForgetHead(a, head);
  const uint16_t* const dout_rows = a.dout + h.sequence * n.length * n.hidden + h.offset;
  AddToMask(n, h, mask);
  PackRows(n, h.q, h.stride, q);
  PackRows(n, dout_rows, n.hidden, dout);
  PackColumnPairs(n, h.k, h.stride, k_columns);
  PackColumnPairs(n, h.v, h.stride, v_columns);
  PackRowPairs(n, h.q, h.stride, q_pairs);
  PackRowPairs(n, h.k, h.stride, k_pairs);
  PackRowPairs(n, dout_rows, n.hidden, dout_pairs);
  Zero(2 * matrix, dk);  // and dv
  Zero(next, key_sums);
  float* const sums = a.bias_sums + h.sequence * h.stride + h.offset;
  uint16_t* const dqkv = a.dqkv + h.sequence * n.length * h.stride + h.offset;
  Zero(n.head_size, sums);
  for (int64_t first = 0; first < n.length; first += thor::kQueryBlock) {
    const int64_t rows = Smaller(thor::kQueryBlock, n.length - first);
    MultiplyColumnPairs(n, q, first, rows, k_columns, scores);
    MultiplyColumnPairs(n, dout, first, rows, v_columns, dscores);
    for (int64_t i = 0; i < rows; i += 2) {
      float dot[2] = {0, 0};
      if (i + 1 == rows) {  // no second row
        Zero(next, scores + (i + 1) * next);
        Zero(next, dscores + (i + 1) * next);
        Zero(next, weights);
      }
      for (int64_t r = 0; r < Smaller(2, rows - i); ++r) {
        const int64_t query = first + i + r, index = head * n.length + query, row = (i + r) * next;
        dot[r] = Weights(n, a.dropout, index, h.scale, mask, a.log_sum_exp[index] - ForgottenTerm(n, h, query),
                         Dot(n.head_size, dout_rows + query * n.hidden, h.v_bias), scores + row, dscores + row,
                         AsBfloat16(weights) + r * next);
      }
      PairRows(n, dot, AsBfloat16(weights), scores + i * next, dscores + i * next, key_sums);
    }
    const int64_t depth = Pairs(rows), pair = first / 2 * kLanes;
    Accumulate<MultiplyAddPairs>(n, {scores, 1, 2 * next}, depth, q_pairs + pair, next / 2, dk);
    Accumulate<MultiplyAddPairs>(n, {scores + next, 1, 2 * next}, depth, dout_pairs + pair, next / 2, dv);
    MultiplyPanels<MultiplyAddPairs>(n, {dscores, next, 1}, rows, Pairs(n.length), k_pairs, next / 2,
                                     [&](int64_t i, int64_t j, Floats sum) {
                                       const Floats value = sum * Set(h.scale);
                                       StoreColumns(n, dqkv + (first + i) * h.stride, j, value);
                                       const First lanes{static_cast<int>(Smaller(kLanes, n.head_size - j))};
                                       Store(sums + j, Load(sums + j, lanes) + value, lanes);
                                     });
  }
  AddBias(n, key_sums, h.q_bias, h.scale, dk);
  StorePanels(n, dk, dqkv + n.hidden, sums + n.hidden);
  StorePanels(n, dv, dqkv + 2 * n.hidden, sums + 2 * n.hidden);
}

}  // namespace

const thor::AttentionImplementation thor::attention_avx512_bf16 = {kImplementation.f32,
                                                                   {ForwardOfPairs, BackwardOfPairs}};
