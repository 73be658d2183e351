#include "attention/attention.h"

#include <algorithm>

#include "attention/implementation.h"
#include "common/aot.h"
#include "common/dispatch.h"
#include "common/parallel.h"
#include "common/scratch.h"

namespace {

constexpr const char *kF32 = "float32", *kI32 = "int32";

int64_t RoundUp(int64_t n) { return (n + 15) / 16 * 16; }

// False where the sizes make no attention or their products overflow.
bool MakeShape(int64_t batch, int64_t heads, int64_t length, int64_t head_size, thor::AttentionShape* shape) {
  constexpr int64_t kLimit = int64_t{1} << 40;
  if (batch < 0 || heads < 1 || length < 1 || head_size < 1) return false;
  if (batch > kLimit || heads > kLimit / head_size || length > (int64_t{1} << 24) || head_size > (1 << 20))
    return false;
  if (batch > 0 && heads * head_size * 3 > INT64_MAX / 8 / length / batch) return false;
  *shape = {batch, heads, length, head_size, heads * head_size, RoundUp(length), RoundUp(head_size)};
  return true;
}

int64_t ScratchFloats(const thor::AttentionShape& n, int matrices, int blocks) {
  return n.padded_length * (matrices * n.padded_size + blocks * thor::kQueryBlock + thor::kScratchRows);
}

int Prepare(float probability, const int32_t* seed, int32_t site, int64_t batch, int64_t heads, int64_t length,
            int64_t head_size, thor::AttentionShape* shape, thor::Dropout* dropout) {
  if (!MakeShape(batch, heads, length, head_size, shape)) return THOR_BAD_SIZE;
  if (!seed) return THOR_NULL_POINTER;
  return thor::MakeDropout(probability, seed, site, batch * heads * length * length, dropout) ? THOR_OK
                                                                                              : THOR_BAD_VALUE;
}

// head(index, scratch) for every head of every sequence.
template <typename Head>
int ForEachHead(const thor::AttentionShape& n, int64_t scratch_floats, int threads, Head head) {
  const int64_t tasks = n.batch * n.heads;
  thor::Scratch scratch(thor::Workers(tasks, threads), scratch_floats);
  if (scratch.Failed()) return THOR_OUT_OF_MEMORY;
  thor::ParallelFor(tasks, threads, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t task = begin; task < end; ++task) head(task, scratch.ForWorker(worker));
  });
  return THOR_OK;
}

template <typename T>
int Forward(const thor::AttentionHead<T>& implementation, thor::AttentionArguments<T> a, float probability,
            const int32_t* seed, int32_t site, int64_t batch, int64_t heads, int64_t length, int64_t head_size,
            int threads) {
  if (const int status = Prepare(probability, seed, site, batch, heads, length, head_size, &a.shape, &a.dropout))
    return status;
  if (batch == 0) return THOR_OK;
  if (!a.qkv || !a.bias || !a.mask || !a.out || !a.log_sum_exp) return THOR_NULL_POINTER;
  return ForEachHead(a.shape, ScratchFloats(a.shape, thor::kForwardMatrices, thor::kForwardBlocks), threads,
                     [&](int64_t head, float* scratch) { implementation.forward(a, head, scratch); });
}

template <typename T>
int Backward(const thor::AttentionHead<T>& implementation, thor::AttentionGradArguments<T> a, float probability,
             const int32_t* seed, int32_t site, int64_t batch, int64_t heads, int64_t length, int64_t head_size,
             float* dbias, int threads) {
  if (const int status = Prepare(probability, seed, site, batch, heads, length, head_size, &a.shape, &a.dropout))
    return status;
  if (!dbias || (batch > 0 && (!a.dout || !a.qkv || !a.bias || !a.mask || !a.log_sum_exp || !a.dqkv)))
    return THOR_NULL_POINTER;
  const int64_t columns = 3 * a.shape.hidden;
  if (batch == 0) {
    std::fill_n(dbias, columns, 0.0f);
    return THOR_OK;
  }
  thor::Scratch sums(1, batch * columns);
  if (sums.Failed()) return THOR_OUT_OF_MEMORY;
  a.bias_sums = sums.ForWorker(0);
  const int64_t floats = ScratchFloats(a.shape, thor::kBackwardMatrices, thor::kBackwardBlocks);
  if (const int status = ForEachHead(a.shape, floats, threads,
                                     [&](int64_t head, float* scratch) { implementation.backward(a, head, scratch); }))
    return status;
  std::copy_n(a.bias_sums, columns, dbias);
  for (int64_t b = 1; b < batch; ++b)
    for (int64_t j = 0; j < columns; ++j) dbias[j] += a.bias_sums[b * columns + j];
  return THOR_OK;
}

}  // namespace

extern "C" {

int thor_attention_f32(const float* qkv, const float* bias, const float* mask, float probability, const int32_t* seed,
                       int32_t site, int64_t batch, int64_t heads, int64_t length, int64_t head_size, float* out,
                       float* log_sum_exp, int threads) {
  return Forward<float>(THOR_CHOOSE(thor::attention).f32, {{}, {}, qkv, bias, mask, out, log_sum_exp}, probability,
                        seed, site, batch, heads, length, head_size, threads);
}

int thor_attention_bf16(const uint16_t* qkv, const float* bias, const float* mask, float probability,
                        const int32_t* seed, int32_t site, int64_t batch, int64_t heads, int64_t length,
                        int64_t head_size, uint16_t* out, float* log_sum_exp, int threads) {
  return Forward<uint16_t>(THOR_CHOOSE(thor::attention).bf16, {{}, {}, qkv, bias, mask, out, log_sum_exp}, probability,
                           seed, site, batch, heads, length, head_size, threads);
}

int thor_attention_grad_f32(const float* dout, const float* qkv, const float* bias, const float* mask,
                            const float* log_sum_exp, float probability, const int32_t* seed, int32_t site,
                            int64_t batch, int64_t heads, int64_t length, int64_t head_size, float* dqkv, float* dbias,
                            int threads) {
  return Backward<float>(THOR_CHOOSE(thor::attention).f32, {{}, {}, dout, qkv, bias, mask, log_sum_exp, dqkv, nullptr},
                         probability, seed, site, batch, heads, length, head_size, dbias, threads);
}

int thor_attention_grad_bf16(const uint16_t* dout, const uint16_t* qkv, const float* bias, const float* mask,
                             const float* log_sum_exp, float probability, const int32_t* seed, int32_t site,
                             int64_t batch, int64_t heads, int64_t length, int64_t head_size, uint16_t* dqkv,
                             float* dbias, int threads) {
  return Backward<uint16_t>(THOR_CHOOSE(thor::attention).bf16,
                            {{}, {}, dout, qkv, bias, mask, log_sum_exp, dqkv, nullptr}, probability, seed, site, batch,
                            heads, length, head_size, dbias, threads);
}

int thor_attention(THOR_AOT_PARAMETERS) {
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  const char* const stored = a.Activations(0);
  if (const int status = a.Check({stored, kF32, kF32, kF32, kI32, kI32, stored, kF32})) return status;
  const int64_t batch = a.Dim(2, 0), length = a.Dim(2, 1), heads = a.Dim(7, 1), hidden = a.Dim(6, 1);
  if (a.Rank(0) != 2 || a.Rank(2) != 2 || a.Rank(6) != 2 || a.Rank(7) != 3 || a.Dim(0, 0) != batch * length ||
      a.Dim(0, 1) != 3 * hidden || a.Elements(1) != 3 * hidden || a.Elements(3) != 1 || a.Elements(4) != 4 ||
      a.Elements(5) != 1 || a.Dim(6, 0) != batch * length || heads < 1 || hidden % heads != 0 || a.Dim(7, 0) != batch ||
      a.Dim(7, 2) != length)
    return THOR_BAD_SHAPE;
  const auto call = [&](auto forward, auto* qkv, auto* out) {
    return forward(qkv, a.Data<float>(1), a.Data<float>(2), *a.Data<float>(3), a.Data<int32_t>(4), *a.Data<int32_t>(5),
                   batch, heads, length, hidden / heads, out, a.Data<float>(7), 0);
  };
  return a.Is(0, kF32) ? call(thor_attention_f32, a.Data<float>(0), a.Data<float>(6))
                       : call(thor_attention_bf16, a.Data<uint16_t>(0), a.Data<uint16_t>(6));
}

int thor_attention_grad(THOR_AOT_PARAMETERS) {
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  const char* const stored = a.Activations(1);
  if (const int status = a.Check({stored, stored, kF32, kF32, kF32, kF32, kI32, kI32, stored, kF32})) return status;
  const int64_t batch = a.Dim(3, 0), length = a.Dim(3, 1), heads = a.Dim(4, 1), hidden = a.Dim(0, 1);
  if (a.Rank(0) != 2 || a.Rank(3) != 2 || a.Rank(4) != 3 || a.Dim(0, 0) != batch * length || a.Rank(1) != 2 ||
      a.Dim(1, 0) != batch * length || a.Dim(1, 1) != 3 * hidden || a.Elements(2) != 3 * hidden || heads < 1 ||
      hidden % heads != 0 || a.Dim(4, 0) != batch || a.Dim(4, 2) != length || a.Elements(5) != 1 ||
      a.Elements(6) != 4 || a.Elements(7) != 1 || !a.SameShape(1, 8) || a.Elements(9) != 3 * hidden)
    return THOR_BAD_SHAPE;
  const auto call = [&](auto backward, auto* dout, auto* qkv, auto* dqkv) {
    return backward(dout, qkv, a.Data<float>(2), a.Data<float>(3), a.Data<float>(4), *a.Data<float>(5),
                    a.Data<int32_t>(6), *a.Data<int32_t>(7), batch, heads, length, hidden / heads, dqkv,
                    a.Data<float>(9), 0);
  };
  return a.Is(1, kF32) ? call(thor_attention_grad_f32, a.Data<float>(0), a.Data<float>(1), a.Data<float>(8))
                       : call(thor_attention_grad_bf16, a.Data<uint16_t>(0), a.Data<uint16_t>(1), a.Data<uint16_t>(8));
}

}  // extern "C"
