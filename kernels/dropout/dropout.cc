#include "dropout/dropout.h"

#include "common/aot.h"
#include "common/dispatch.h"
#include "common/row_chunks.h"
#include "dropout/implementation.h"

namespace {

template <typename T>
int Apply(void (*implementation)(const thor::Dropout&, const T*, T*, int64_t, int64_t), const T* x, float probability,
          const int32_t* seed, int32_t site, int64_t n, T* y, int threads) {
  if (!thor::CouldExist({n})) return THOR_BAD_SIZE;
  if (!seed || (n > 0 && (!x || !y))) return THOR_NULL_POINTER;
  thor::Dropout dropout;
  if (!thor::MakeDropout(probability, seed, site, n, &dropout)) return THOR_BAD_VALUE;
  thor::ParallelForRows(n, 1, threads, [&](int64_t begin, int64_t end) { implementation(dropout, x, y, begin, end); });
  return THOR_OK;
}

}  // namespace

extern "C" {

int thor_dropout_f32(const float* x, float probability, const int32_t* seed, int32_t site, int64_t n, float* y,
                     int threads) {
  return Apply(THOR_CHOOSE(thor::dropout).f32, x, probability, seed, site, n, y, threads);
}

int thor_dropout_bf16(const uint16_t* x, float probability, const int32_t* seed, int32_t site, int64_t n, uint16_t* y,
                      int threads) {
  return Apply(THOR_CHOOSE(thor::dropout).bf16, x, probability, seed, site, n, y, threads);
}

int thor_philox_u32(const int32_t* seed, int32_t site, int64_t first_block, int64_t blocks, uint32_t* words) {
  if (!thor::CouldExist({blocks, 4})) return THOR_BAD_SIZE;
  if (!seed || (blocks > 0 && !words)) return THOR_NULL_POINTER;
  thor::Dropout dropout;
  thor::MakeDropout(0, seed, site, 0, &dropout);
  THOR_CHOOSE(thor::dropout).words(dropout, static_cast<uint64_t>(first_block), blocks, words);
  return THOR_OK;
}

int thor_dropout(THOR_AOT_PARAMETERS) {
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  const char* const stored = a.Activations(0);
  if (const int status = a.Check({stored, "float32", "int32", "int32", stored})) return status;
  if (a.Elements(1) != 1 || a.Elements(2) != 4 || a.Elements(3) != 1 || !a.SameShape(0, 4)) return THOR_BAD_SHAPE;
  const auto call = [&](auto apply, auto* x, auto* y) {
    return apply(x, *a.Data<float>(1), a.Data<int32_t>(2), *a.Data<int32_t>(3), a.Elements(0), y, 0);
  };
  return a.Is(0, "float32") ? call(thor_dropout_f32, a.Data<float>(0), a.Data<float>(4))
                            : call(thor_dropout_bf16, a.Data<uint16_t>(0), a.Data<uint16_t>(4));
}

}  // extern "C"
