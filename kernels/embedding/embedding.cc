#include "embedding/embedding.h"

#include <algorithm>

#include "common/aot.h"
#include "common/row_chunks.h"
#include "common/scratch.h"
#include "embedding/implementation.h"

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

// copy(row of the table, row of y) for every row.
template <typename Table, typename Rows, typename Copy>
int Gather(const Table* table, const int32_t* ids, int64_t vocabulary, int64_t rows, int64_t features, Rows* y,
           int threads, Copy copy) {
  if (const int status = CheckArguments(ids, vocabulary, rows, features)) return status;
  if (rows > 0 && (!table || !y)) return THOR_NULL_POINTER;
  thor::ParallelForRows(rows, features, threads, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) copy(table + ids[r] * features, y + r * features);
  });
  return THOR_OK;
}

template <typename Rows, typename Add>
int Scatter(const Rows* dy, const int32_t* ids, int64_t vocabulary, int64_t rows, int64_t features, float* dtable,
            int threads, Add add) {
  if (const int status = CheckArguments(ids, vocabulary, rows, features)) return status;
  if (!dtable || (rows > 0 && !dy)) return THOR_NULL_POINTER;
  // A range of the table belongs to one thread, which adds the rows of dy that fall into it in their order.
  thor::ParallelForRows(vocabulary, features, threads, [&](int64_t begin, int64_t end) {
    std::fill_n(dtable + begin * features, (end - begin) * features, 0.0f);
    for (int64_t r = 0; r < rows; ++r) {
      if (ids[r] < begin || ids[r] >= end) continue;
      add(dy + r * features, features, dtable + ids[r] * features);
    }
  });
  return THOR_OK;
}

// The rows that an id has, in their order: first[id], then next[row], up to kNone.
struct RowLists {
  static constexpr int64_t kNone = -1;
  int64_t *first, *next;

  RowLists(const int32_t* ids, int64_t vocabulary, int64_t rows, const thor::Scratch& memory)
      : first(reinterpret_cast<int64_t*>(memory.ForWorker(0))), next(reinterpret_cast<int64_t*>(memory.ForWorker(1))) {
    std::fill_n(first, vocabulary, kNone);
    for (int64_t r = rows - 1; r >= 0; --r) {
      next[r] = first[ids[r]];
      first[ids[r]] = r;
    }
  }
};

}  // namespace

extern "C" {

int thor_embedding_f32(const float* table, const int32_t* ids, int64_t vocabulary, int64_t rows, int64_t features,
                       float* y, int threads) {
  return Gather(table, ids, vocabulary, rows, features, y, threads,
                [=](const float* row, float* target) { std::copy_n(row, features, target); });
}

int thor_embedding_f32_bf16(const float* table, const int32_t* ids, int64_t vocabulary, int64_t rows, int64_t features,
                            uint16_t* y, int threads) {
  const auto narrow = THOR_CHOOSE(thor::embedding).narrow;
  return Gather(table, ids, vocabulary, rows, features, y, threads,
                [=](const float* row, uint16_t* target) { narrow(row, features, target); });
}

int thor_embedding_bf16(const uint16_t* table, const int32_t* ids, int64_t vocabulary, int64_t rows, int64_t features,
                        uint16_t* y, int threads) {
  return Gather(table, ids, vocabulary, rows, features, y, threads,
                [=](const uint16_t* row, uint16_t* target) { std::copy_n(row, features, target); });
}

int thor_embedding_grad_f32(const float* dy, const int32_t* ids, int64_t vocabulary, int64_t rows, int64_t features,
                            float* dtable, int threads) {
  return Scatter(dy, ids, vocabulary, rows, features, dtable, threads, THOR_CHOOSE(thor::embedding).add_f32);
}

int thor_embedding_grad_f32_bf16(const uint16_t* dy, const int32_t* ids, int64_t vocabulary, int64_t rows,
                                 int64_t features, float* dtable, int threads) {
  return Scatter(dy, ids, vocabulary, rows, features, dtable, threads, THOR_CHOOSE(thor::embedding).add_bf16);
}

int thor_embedding_grad_bf16(const uint16_t* dy, const int32_t* ids, int64_t vocabulary, int64_t rows, int64_t features,
                             uint16_t* dtable, int threads) {
  if (const int status = CheckArguments(ids, vocabulary, rows, features)) return status;
  if (!dtable || (rows > 0 && !dy)) return THOR_NULL_POINTER;
  const thor::EmbeddingImplementation& implementation = THOR_CHOOSE(thor::embedding);
  const int64_t block = std::max<int64_t>(1, thor::kGrain / features), blocks = (vocabulary + block - 1) / block;
  const thor::Scratch scratch(thor::Workers(blocks, threads), features), lists(2, 2 * std::max(vocabulary, rows));
  if (scratch.Failed() || lists.Failed()) return THOR_OUT_OF_MEMORY;
  const RowLists of_id(ids, vocabulary, rows, lists);
  thor::ParallelFor(blocks, threads, [&](int64_t begin, int64_t end, int worker) {
    float* const sums = scratch.ForWorker(worker);
    for (int64_t v = begin * block; v < std::min(vocabulary, end * block); ++v) {
      uint16_t* const target = dtable + v * features;
      if (of_id.first[v] == of_id.kNone) {
        std::fill_n(target, features, uint16_t{0});
        continue;
      }
      std::fill_n(sums, features, 0.0f);
      for (int64_t r = of_id.first[v]; r != of_id.kNone; r = of_id.next[r])
        implementation.add_bf16(dy + r * features, features, sums);
      implementation.narrow(sums, features, target);
    }
  });
  return THOR_OK;
}

int thor_embedding(THOR_AOT_PARAMETERS) {
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  const char *const table = a.Activations(0), *const y = a.Activations(2);
  if (const int status = a.Check({table, kI32, y})) return status;
  if (a.Is(2, kF32) && !a.Is(0, kF32)) return THOR_BAD_DTYPE;
  const int64_t rows = a.Elements(1), features = a.Dim(0, 1);
  if (a.Rank(0) != 2 || a.Rank(1) != 1 || a.Rank(2) != 2 || a.Dim(2, 0) != rows || a.Dim(2, 1) != features)
    return THOR_BAD_SHAPE;
  const auto call = [&](auto gather, auto* source, auto* target) {
    return gather(source, a.Data<int32_t>(1), a.Dim(0, 0), rows, features, target, 0);
  };
  if (!a.Is(0, kF32)) return call(thor_embedding_bf16, a.Data<uint16_t>(0), a.Data<uint16_t>(2));
  return a.Is(2, kF32) ? call(thor_embedding_f32, a.Data<float>(0), a.Data<float>(2))
                       : call(thor_embedding_f32_bf16, a.Data<float>(0), a.Data<uint16_t>(2));
}

int thor_embedding_grad(THOR_AOT_PARAMETERS) {
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  const char *const dy = a.Activations(0), *const table = a.Activations(2);
  if (const int status = a.Check({dy, kI32, table, table})) return status;
  if (a.Is(0, kF32) && !a.Is(2, kF32)) return THOR_BAD_DTYPE;
  const int64_t rows = a.Elements(1), features = a.Dim(2, 1);
  if (a.Rank(0) != 2 || a.Rank(1) != 1 || a.Rank(2) != 2 || a.Dim(0, 0) != rows || a.Dim(0, 1) != features ||
      !a.SameShape(2, 3))
    return THOR_BAD_SHAPE;
  if (a.Data<void>(2) == nullptr && a.Elements(2) != 0) return THOR_NULL_POINTER;  // which nothing else would notice
  const auto call = [&](auto scatter, auto* source, auto* target) {
    return scatter(source, a.Data<int32_t>(1), a.Dim(2, 0), rows, features, target, 0);
  };
  if (!a.Is(2, kF32)) return call(thor_embedding_grad_bf16, a.Data<uint16_t>(0), a.Data<uint16_t>(3));
  return a.Is(0, kF32) ? call(thor_embedding_grad_f32, a.Data<float>(0), a.Data<float>(3))
                       : call(thor_embedding_grad_f32_bf16, a.Data<uint16_t>(0), a.Data<float>(3));
}

}  // extern "C"
