#include "l2_norm/l2_norm.h"

#include "common/dispatch.h"
#include "common/parts.h"
#include "l2_norm/implementation.h"

namespace {

constexpr const char* kF32 = "float32";
constexpr int64_t kPiece = 4096;  // elements whose squares are summed in float

double SumOfPieces(thor::L2NormImplementation sum_of_squares, const float* x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i += kPiece) sum += sum_of_squares(x + i, std::min(kPiece, n - i));
  return sum;
}

}  // namespace

extern "C" {

int thor_l2_norm_f32(const float* x, int64_t parts, int64_t elements, float* norms, int threads) {
  if (!thor::CouldExist({parts, elements})) return THOR_BAD_SIZE;
  if (parts == 0) return THOR_OK;
  if (!norms || (elements > 0 && !x)) return THOR_NULL_POINTER;
  const int64_t tasks = (elements + thor::kGrain - 1) / thor::kGrain;  // of a part
  constexpr int64_t kFloats = sizeof(double) / sizeof(float);
  const thor::Scratch scratch(1, parts * tasks * kFloats);
  if (scratch.Failed()) return THOR_OUT_OF_MEMORY;
  double* const sums = reinterpret_cast<double*>(scratch.ForWorker(0));
  const auto sum_of_squares = THOR_CHOOSE(thor::l2_norm);
  thor::ParallelForParts(parts, elements, threads, [&](int64_t part, int64_t first, int64_t count) {
    sums[part * tasks + first / thor::kGrain] = SumOfPieces(sum_of_squares, x + part * elements + first, count);
  });
  for (int64_t part = 0; part < parts; ++part) {
    double sum = 0;
    for (int64_t task = 0; task < tasks; ++task) sum += sums[part * tasks + task];
    norms[part] = static_cast<float>(std::sqrt(sum));
  }
  return THOR_OK;
}

int thor_l2_norm(THOR_AOT_PARAMETERS) {
  (void)stream, (void)extra;
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  if (const int status = a.Check({kF32, kF32})) return status;
  if (!thor::FallsIntoParts(a, 0, 1)) return THOR_BAD_SHAPE;
  const int64_t parts = a.Elements(1);
  return thor_l2_norm_f32(a.Data<float>(0), parts, a.Elements(0) / parts, a.Data<float>(1), 0);
}

}  // extern "C"
