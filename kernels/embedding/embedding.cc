#include "embedding/embedding.h"

#include <algorithm>

#include "common/aot.h"
#include "common/row_chunks.h"

namespace {

constexpr const char *kF32 = "float32", *kI32 = "int32";

int CheckArguments(const int32_t* ids, int64_t vocabulary, int64_t rows, int64_t features) {
  if (vocabulary < 1 || features < 1 || !thor::CouldExist({rows, features}) ||
      !thor::CouldExist({vocabulary, features}))
    return THOR_BAD_SIZE;
  if (rows > 0 && !ids) return THOR_NULL_POINTER;
  for (int64_t r = 0; r < rows; ++r)
    if (ids[r] < 0 || ids[r] >= vocabulary) return THOR_BAD_VALUE;
  return THOR_OK;
}

}  // namespace

extern "C" {

int thor_embedding_f32(const float* table, const int32_t* ids, int64_t vocabulary, int64_t rows, int64_t features,
                       float* y, int threads) {
  if (const int status = CheckArguments(ids, vocabulary, rows, features)) return status;
  if (rows > 0 && (!table || !y)) return THOR_NULL_POINTER;
  thor::ParallelForRows(rows, features, threads, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) std::copy_n(table + ids[r] * features, features, y + r * features);
  });
  return THOR_OK;
}

int thor_embedding_grad_f32(const float* dy, const int32_t* ids, int64_t vocabulary, int64_t rows, int64_t features,
                            float* dtable, int threads) {
  if (const int status = CheckArguments(ids, vocabulary, rows, features)) return status;
  if (!dtable || (rows > 0 && !dy)) return THOR_NULL_POINTER;
  // A range of the table belongs to one thread, which adds the rows of dy that fall into it in their order.
  thor::ParallelForRows(vocabulary, features, threads, [&](int64_t begin, int64_t end) {
    std::fill_n(dtable + begin * features, (end - begin) * features, 0.0f);
    for (int64_t r = 0; r < rows; ++r) {
      if (ids[r] < begin || ids[r] >= end) continue;
      const float* const source = dy + r * features;
      float* const target = dtable + ids[r] * features;
      for (int64_t j = 0; j < features; ++j) target[j] += source[j];
    }
  });
  return THOR_OK;
}

int thor_embedding(THOR_AOT_PARAMETERS) {
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  if (const int status = a.Check({kF32, kI32, kF32})) return status;
  const int64_t rows = a.Elements(1), features = a.Dim(0, 1);
  if (a.Rank(0) != 2 || a.Rank(1) != 1 || a.Rank(2) != 2 || a.Dim(2, 0) != rows || a.Dim(2, 1) != features)
    return THOR_BAD_SHAPE;
  return thor_embedding_f32(a.Data<float>(0), a.Data<int32_t>(1), a.Dim(0, 0), rows, features, a.Data<float>(2), 0);
}

int thor_embedding_grad(THOR_AOT_PARAMETERS) {
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  if (const int status = a.Check({kF32, kI32, kF32, kF32})) return status;
  const int64_t rows = a.Elements(1), features = a.Dim(2, 1);
  if (a.Rank(0) != 2 || a.Rank(1) != 1 || a.Rank(2) != 2 || a.Dim(0, 0) != rows || a.Dim(0, 1) != features ||
      !a.SameShape(2, 3))
    return THOR_BAD_SHAPE;
  return thor_embedding_grad_f32(a.Data<float>(0), a.Data<int32_t>(1), a.Dim(2, 0), rows, features, a.Data<float>(3),
                                 0);
}

}  // extern "C"
