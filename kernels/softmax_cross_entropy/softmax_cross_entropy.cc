#include "softmax_cross_entropy/softmax_cross_entropy.h"

#include <algorithm>

#include "common/aot.h"
#include "common/bfloat16.h"
#include "common/dispatch.h"
#include "common/row_chunks.h"
#include "softmax_cross_entropy/implementation.h"

namespace {

using thor::ToFloat;
constexpr const char *kF32 = "float32", *kI32 = "int32";

int CheckLabels(const int32_t* labels, int64_t rows, int64_t classes) {
  for (int64_t r = 0; r < rows; ++r)
    if (labels[r] < 0 || labels[r] >= classes) return THOR_BAD_VALUE;
  return THOR_OK;
}

bool BadSizes(int64_t rows, int64_t classes) { return classes < 1 || !thor::CouldExist({rows, classes}); }

// 1 / (sum of the weights + 1e-5)
double Normalizer(const float* weights, int64_t rows) {
  double sum = 1e-5;
  for (int64_t r = 0; r < rows; ++r) sum += weights[r];
  return 1.0 / sum;
}

// Whether no element before the label's is as large as it, given that none is larger.
template <typename T>
bool IsFirst(const T* row, const float* bias, int32_t label) {
  const float z = ToFloat(row[label]) + bias[label];
  for (int32_t v = 0; v < label; ++v)
    if (ToFloat(row[v]) + bias[v] == z) return false;
  return true;
}

template <typename T>
int Forward(const thor::SoftmaxCrossEntropyRow<T>& implementation, const T* logits, const float* bias,
            const int32_t* labels, const float* weights, int64_t rows, int64_t classes, float* loss, float* correct,
            float* log_sum_exp, int threads) {
  if (BadSizes(rows, classes)) return THOR_BAD_SIZE;
  if (!loss || !correct || (rows > 0 && (!logits || !bias || !labels || !weights || !log_sum_exp)))
    return THOR_NULL_POINTER;
  if (const int status = CheckLabels(labels, rows, classes)) return status;
  thor::Scratch largest(1, std::max<int64_t>(1, rows));
  if (largest.Failed()) return THOR_OUT_OF_MEMORY;
  thor::ParallelForRows(rows, classes, threads, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      log_sum_exp[r] = implementation.log_sum_exp(logits + r * classes, bias, classes, largest.ForWorker(0) + r);
  });
  double nll = 0, hits = 0;
  for (int64_t r = 0; r < rows; ++r) {
    if (weights[r] == 0) continue;
    const T* row = logits + r * classes;
    const float z = ToFloat(row[labels[r]]) + bias[labels[r]];
    nll += static_cast<double>(weights[r]) * (static_cast<double>(log_sum_exp[r]) - z);
    if (z >= largest.ForWorker(0)[r] && IsFirst(row, bias, labels[r])) hits += weights[r];
  }
  *loss = static_cast<float>(nll * Normalizer(weights, rows));
  *correct = static_cast<float>(hits);
  return THOR_OK;
}

template <typename T>
int Backward(const thor::SoftmaxCrossEntropyRow<T>& implementation, const float* dloss, const T* logits,
             const float* bias, const int32_t* labels, const float* weights, const float* log_sum_exp, int64_t rows,
             int64_t classes, T* dlogits, float* dbias, int threads) {
  if (BadSizes(rows, classes)) return THOR_BAD_SIZE;
  if (!dloss || !dbias || (rows > 0 && (!logits || !bias || !labels || !weights || !log_sum_exp || !dlogits)))
    return THOR_NULL_POINTER;
  if (const int status = CheckLabels(labels, rows, classes)) return status;
  const double factor = *dloss * Normalizer(weights, rows);
  float* const sums[] = {dbias};
  return thor::SumOverRowChunks(rows, classes, sums, threads, [&](int64_t begin, int64_t end, float* const* partial) {
    std::fill_n(partial[0], classes, 0.0f);
    for (int64_t r = begin; r < end; ++r) {
      T* const gradient = dlogits + r * classes;
      if (weights[r] == 0)
        std::fill_n(gradient, classes, T{0});
      else
        implementation.gradient(logits + r * classes, bias, classes, labels[r], log_sum_exp[r],
                                static_cast<float>(factor * weights[r]), gradient, partial[0]);
    }
  });
}

}  // namespace

extern "C" {

int thor_softmax_cross_entropy_f32(const float* logits, const float* bias, const int32_t* labels, const float* weights,
                                   int64_t rows, int64_t classes, float* loss, float* correct, float* log_sum_exp,
                                   int threads) {
  return Forward(THOR_CHOOSE(thor::softmax_cross_entropy).f32, logits, bias, labels, weights, rows, classes, loss,
                 correct, log_sum_exp, threads);
}

int thor_softmax_cross_entropy_bf16(const uint16_t* logits, const float* bias, const int32_t* labels,
                                    const float* weights, int64_t rows, int64_t classes, float* loss, float* correct,
                                    float* log_sum_exp, int threads) {
  return Forward(THOR_CHOOSE(thor::softmax_cross_entropy).bf16, logits, bias, labels, weights, rows, classes, loss,
                 correct, log_sum_exp, threads);
}

int thor_softmax_cross_entropy_grad_f32(const float* dloss, const float* logits, const float* bias,
                                        const int32_t* labels, const float* weights, const float* log_sum_exp,
                                        int64_t rows, int64_t classes, float* dlogits, float* dbias, int threads) {
  return Backward(THOR_CHOOSE(thor::softmax_cross_entropy).f32, dloss, logits, bias, labels, weights, log_sum_exp, rows,
                  classes, dlogits, dbias, threads);
}

int thor_softmax_cross_entropy_grad_bf16(const float* dloss, const uint16_t* logits, const float* bias,
                                         const int32_t* labels, const float* weights, const float* log_sum_exp,
                                         int64_t rows, int64_t classes, uint16_t* dlogits, float* dbias, int threads) {
  return Backward(THOR_CHOOSE(thor::softmax_cross_entropy).bf16, dloss, logits, bias, labels, weights, log_sum_exp,
                  rows, classes, dlogits, dbias, threads);
}

int thor_softmax_cross_entropy(THOR_AOT_PARAMETERS) {
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  if (const int status = a.Check({a.Activations(0), kF32, kI32, kF32, kF32, kF32, kF32})) return status;
  const int64_t rows = a.Dim(0, 0), classes = a.Dim(0, 1);
  if (a.Rank(0) != 2 || a.Elements(1) != classes || a.Elements(2) != rows || a.Elements(3) != rows ||
      a.Elements(4) != 1 || a.Elements(5) != 1 || a.Elements(6) != rows)
    return THOR_BAD_SHAPE;
  const auto call = [&](auto forward, auto* logits) {
    return forward(logits, a.Data<float>(1), a.Data<int32_t>(2), a.Data<float>(3), rows, classes, a.Data<float>(4),
                   a.Data<float>(5), a.Data<float>(6), 0);
  };
  return a.Is(0, kF32) ? call(thor_softmax_cross_entropy_f32, a.Data<float>(0))
                       : call(thor_softmax_cross_entropy_bf16, a.Data<uint16_t>(0));
}

int thor_softmax_cross_entropy_grad(THOR_AOT_PARAMETERS) {
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  const char* const stored = a.Activations(1);
  if (const int status = a.Check({kF32, stored, kF32, kI32, kF32, kF32, stored, kF32})) return status;
  const int64_t rows = a.Dim(1, 0), classes = a.Dim(1, 1);
  if (a.Elements(0) != 1 || a.Rank(1) != 2 || a.Elements(2) != classes || a.Elements(3) != rows ||
      a.Elements(4) != rows || a.Elements(5) != rows || !a.SameShape(1, 6) || a.Elements(7) != classes)
    return THOR_BAD_SHAPE;
  const auto call = [&](auto backward, auto* logits, auto* dlogits) {
    return backward(a.Data<float>(0), logits, a.Data<float>(2), a.Data<int32_t>(3), a.Data<float>(4), a.Data<float>(5),
                    rows, classes, dlogits, a.Data<float>(7), 0);
  };
  return a.Is(1, kF32) ? call(thor_softmax_cross_entropy_grad_f32, a.Data<float>(1), a.Data<float>(6))
                       : call(thor_softmax_cross_entropy_grad_bf16, a.Data<uint16_t>(1), a.Data<uint16_t>(6));
}

}  // extern "C"
