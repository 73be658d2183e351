#include "precondition/precondition.h"

#include "common/aot.h"
#include "common/dispatch.h"
#include "common/parallel.h"
#include "common/scratch.h"
#include "precondition/implementation.h"

extern "C" {

int thor_precondition_f32(const float* g_inverse, int64_t g_block, const float* gradient, int64_t outputs,
                          int64_t inputs, const float* a_inverse, int64_t a_block, float* out, int threads) {
  if (!thor::CouldExist({outputs, inputs})) return THOR_BAD_SIZE;
  if (g_block < 1 || a_block < 1) return THOR_BAD_BLOCK;
  if (outputs == 0 || inputs == 0) return THOR_OK;
  if (!thor::CouldExist({g_block, g_block, 2}) || !thor::CouldExist({a_block, a_block, 2}) ||
      !thor::CouldExist({g_block, a_block, 2}))
    return THOR_BAD_SIZE;
  if (!g_inverse || !gradient || !a_inverse || !out) return THOR_NULL_POINTER;
  const thor::PreconditionArguments arguments{g_inverse, g_block, gradient, outputs, inputs, a_inverse, a_block, out};
  const thor::Scratch scratch(thor::Workers(arguments.Tasks(), threads), arguments.ScratchSize());
  if (scratch.Failed()) return THOR_OUT_OF_MEMORY;
  const auto compute = THOR_CHOOSE(thor::precondition);
  thor::ParallelFor(arguments.Tasks(), threads, [&](int64_t begin, int64_t end, int worker) {
    compute(arguments, begin, end, scratch.ForWorker(worker));
  });
  return THOR_OK;
}

int thor_precondition(THOR_AOT_PARAMETERS) {
  (void)stream, (void)extra;
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  if (const int status = a.Check({"float32", "float32", "float32", "float32"})) return status;
  if (a.Rank(0) != 3 || a.Rank(1) != 2 || a.Rank(2) != 3 || !a.SameShape(1, 3)) return THOR_BAD_SHAPE;
  const int64_t outputs = a.Dim(1, 0), inputs = a.Dim(1, 1), g_block = a.Dim(0, 2), a_block = a.Dim(2, 2);
  if (g_block < 1 || a_block < 1 || a.Dim(0, 1) != g_block || a.Dim(2, 1) != a_block) return THOR_BAD_BLOCK;
  using Arguments = thor::PreconditionArguments;
  if (a.Dim(0, 0) != Arguments::Ceil(outputs, g_block) || a.Dim(2, 0) != Arguments::Ceil(inputs, a_block))
    return THOR_BAD_BLOCK;
  return thor_precondition_f32(a.Data<float>(0), g_block, a.Data<float>(1), outputs, inputs, a.Data<float>(2), a_block,
                               a.Data<float>(3), 0);
}

}  // extern "C"
