#include "softmax_cross_entropy/softmax_cross_entropy.h"

#include <algorithm>

#include "common/aot.h"
#include "common/dispatch.h"
#include "common/row_chunks.h"
#include "softmax_cross_entropy/implementation.h"

namespace {

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
bool IsFirst(const float* row, const float* bias, int32_t label) {
  const float z = row[label] + bias[label];
  for (int32_t v = 0; v < label; ++v)
    if (row[v] + bias[v] == z) return false;
  return true;
}

}  // namespace

extern "C" {

int thor_softmax_cross_entropy_f32(const float* logits, const float* bias, const int32_t* labels, const float* weights,
                                   int64_t rows, int64_t classes, float* loss, float* correct, float* log_sum_exp,
                                   int threads) {
  if (BadSizes(rows, classes)) return THOR_BAD_SIZE;
  if (!loss || !correct || (rows > 0 && (!logits || !bias || !labels || !weights || !log_sum_exp)))
    return THOR_NULL_POINTER;
  if (const int status = CheckLabels(labels, rows, classes)) return status;
  thor::Scratch largest(1, std::max<int64_t>(1, rows));
  if (largest.Failed()) return THOR_OUT_OF_MEMORY;
  const auto& implementation = THOR_CHOOSE(thor::softmax_cross_entropy);
  thor::ParallelForRows(rows, classes, threads, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      log_sum_exp[r] = implementation.log_sum_exp(logits + r * classes, bias, classes, largest.ForWorker(0) + r);
  });
  double nll = 0, hits = 0;
  for (int64_t r = 0; r < rows; ++r) {
    if (weights[r] == 0) continue;
    const float* row = logits + r * classes;
    const float z = row[labels[r]] + bias[labels[r]];
    nll += static_cast<double>(weights[r]) * (static_cast<double>(log_sum_exp[r]) - z);
    if (z >= largest.ForWorker(0)[r] && IsFirst(row, bias, labels[r])) hits += weights[r];
  }
  *loss = static_cast<float>(nll * Normalizer(weights, rows));
  *correct = static_cast<float>(hits);
  return THOR_OK;
}

int thor_softmax_cross_entropy_grad_f32(const float* dloss, const float* logits, const float* bias,
                                        const int32_t* labels, const float* weights, const float* log_sum_exp,
                                        int64_t rows, int64_t classes, float* dlogits, float* dbias, int threads) {
  if (BadSizes(rows, classes)) return THOR_BAD_SIZE;
  if (!dloss || !dbias || (rows > 0 && (!logits || !bias || !labels || !weights || !log_sum_exp || !dlogits)))
    return THOR_NULL_POINTER;
  if (const int status = CheckLabels(labels, rows, classes)) return status;
  const double factor = *dloss * Normalizer(weights, rows);
  const auto& implementation = THOR_CHOOSE(thor::softmax_cross_entropy);
  float* const sums[] = {dbias};
  return thor::SumOverRowChunks(rows, classes, sums, threads, [&](int64_t begin, int64_t end, float* const* partial) {
    std::fill_n(partial[0], classes, 0.0f);
    for (int64_t r = begin; r < end; ++r) {
      float* const gradient = dlogits + r * classes;
      if (weights[r] == 0)
        std::fill_n(gradient, classes, 0.0f);
      else
        implementation.gradient(logits + r * classes, bias, classes, labels[r], log_sum_exp[r],
                                static_cast<float>(factor * weights[r]), gradient, partial[0]);
    }
  });
}

int thor_softmax_cross_entropy(THOR_AOT_PARAMETERS) {
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  if (const int status = a.Check({kF32, kF32, kI32, kF32, kF32, kF32, kF32})) return status;
  const int64_t rows = a.Dim(0, 0), classes = a.Dim(0, 1);
  if (a.Rank(0) != 2 || a.Elements(1) != classes || a.Elements(2) != rows || a.Elements(3) != rows ||
      a.Elements(4) != 1 || a.Elements(5) != 1 || a.Elements(6) != rows)
    return THOR_BAD_SHAPE;
  return thor_softmax_cross_entropy_f32(a.Data<float>(0), a.Data<float>(1), a.Data<int32_t>(2), a.Data<float>(3), rows,
                                        classes, a.Data<float>(4), a.Data<float>(5), a.Data<float>(6), 0);
}

int thor_softmax_cross_entropy_grad(THOR_AOT_PARAMETERS) {
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  if (const int status = a.Check({kF32, kF32, kF32, kI32, kF32, kF32, kF32, kF32})) return status;
  const int64_t rows = a.Dim(1, 0), classes = a.Dim(1, 1);
  if (a.Elements(0) != 1 || a.Rank(1) != 2 || a.Elements(2) != classes || a.Elements(3) != rows ||
      a.Elements(4) != rows || a.Elements(5) != rows || !a.SameShape(1, 6) || a.Elements(7) != classes)
    return THOR_BAD_SHAPE;
  return thor_softmax_cross_entropy_grad_f32(a.Data<float>(0), a.Data<float>(1), a.Data<float>(2), a.Data<int32_t>(3),
                                             a.Data<float>(4), a.Data<float>(5), rows, classes, a.Data<float>(6),
                                             a.Data<float>(7), 0);
}

}  // extern "C"
