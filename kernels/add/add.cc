#include "add/add.h"

#include "add/implementation.h"
#include "common/aot.h"
#include "common/dispatch.h"
#include "common/row_chunks.h"

namespace {

template <typename T>
int Run(thor::AddLoop<T> loop, const T* a, const T* b, int64_t n, T* y, int threads) {
  if (!thor::CouldExist({n})) return THOR_BAD_SIZE;
  if (n > 0 && (!a || !b || !y)) return THOR_NULL_POINTER;
  thor::ParallelForRows(n, 1, threads,
                        [=](int64_t begin, int64_t end) { loop(a + begin, b + begin, end - begin, y + begin); });
  return THOR_OK;
}

}  // namespace

extern "C" {

int thor_add_f32(const float* a, const float* b, int64_t n, float* y, int threads) {
  return Run(THOR_CHOOSE(thor::add).f32, a, b, n, y, threads);
}

int thor_add_bf16(const uint16_t* a, const uint16_t* b, int64_t n, uint16_t* y, int threads) {
  return Run(THOR_CHOOSE(thor::add).bf16, a, b, n, y, threads);
}

int thor_add(THOR_AOT_PARAMETERS) {
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  const char* const stored = a.Activations(0);
  if (const int status = a.Check({stored, stored, stored})) return status;
  if (!a.SameShape(0, 1) || !a.SameShape(0, 2)) return THOR_BAD_SHAPE;
  return a.Is(0, "float32")
             ? thor_add_f32(a.Data<float>(0), a.Data<float>(1), a.Elements(0), a.Data<float>(2), 0)
             : thor_add_bf16(a.Data<uint16_t>(0), a.Data<uint16_t>(1), a.Elements(0), a.Data<uint16_t>(2), 0);
}

}  // extern "C"
