#include "cholesky_inverse/cholesky_inverse.h"

#include "cholesky_inverse/implementation.h"
#include "common/aot.h"
#include "common/dispatch.h"
#include "common/parallel.h"
#include "common/scratch.h"

extern "C" {

int thor_cholesky_inverse_f32(const float* c, const float* damping, int64_t blocks, int64_t n, float* inverse,
                              int32_t* status, int threads) {
  if (n < 1) return THOR_BAD_BLOCK;
  if (!thor::CouldExist({blocks, n, n}) || !thor::CouldExist({n, n, 16})) return THOR_BAD_SIZE;
  if (blocks == 0) return THOR_OK;
  if (!c || !damping || !inverse || !status) return THOR_NULL_POINTER;
  const thor::Scratch scratch(thor::Workers(blocks, threads), thor::CholeskyInverseScratch(n));
  if (scratch.Failed()) return THOR_OUT_OF_MEMORY;
  const auto invert = THOR_CHOOSE(thor::cholesky_inverse);
  thor::ParallelFor(blocks, threads, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t q = begin; q < end; ++q)
      status[q] = invert(c + q * n * n, damping[q], n, inverse + q * n * n, scratch.ForWorker(worker));
  });
  return THOR_OK;
}

int thor_cholesky_inverse(THOR_AOT_PARAMETERS) {
  (void)stream, (void)extra;
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  if (const int code = a.Check({"float32", "float32", "float32", "int32"})) return code;
  if (a.Rank(0) != 3 || !a.SameShape(0, 2)) return THOR_BAD_SHAPE;
  const int64_t blocks = a.Dim(0, 0), n = a.Dim(0, 1);
  if (a.Dim(0, 2) != n) return THOR_BAD_BLOCK;
  if (a.Elements(1) != blocks || a.Elements(3) != blocks) return THOR_BAD_SHAPE;
  return thor_cholesky_inverse_f32(a.Data<float>(0), a.Data<float>(1), blocks, n, a.Data<float>(2), a.Data<int32_t>(3),
                                   0);
}

}  // extern "C"
