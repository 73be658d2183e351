#include "factor_average/factor_average.h"

#include <memory>
#include <new>

#include "common/dispatch.h"
#include "common/parts.h"
#include "factor_average/implementation.h"

namespace {

constexpr const char* kF32 = "float32";

// What is known of the `count` elements of a block from its element `first` on, for which one task is responsible.
struct Piece {
  double factor_trace, captured_trace, next_trace;  // of what lies of the diagonal in it
  bool finite;                                      // all of scale captured
};

// Sum over the diagonal of a block [edge, edge], as far as it lies in the piece, of scale times its elements, each
// product rounded. `piece` points to element `first`.
double Trace(const float* piece, int64_t edge, int64_t first, int64_t count, float scale) {
  double sum = 0;
  for (int64_t i = (first + edge) / (edge + 1) * (edge + 1); i < first + count; i += edge + 1)
    sum += scale * piece[i - first];
  return sum;
}

// The pieces of one block: whether all that was captured is finite, its trace as a float too.
bool IsSound(const Piece* pieces, int64_t count) {
  double trace = 0;
  bool finite = true;
  for (int64_t k = 0; k < count; ++k) {
    trace += pieces[k].captured_trace;
    finite = finite && pieces[k].finite;
  }
  return finite && std::isfinite(static_cast<float>(trace));
}

}  // namespace

extern "C" {

int thor_factor_average_f32(const float* factor, const float* captured, int64_t blocks, int64_t edge, float keep,
                            float scale, float* next, float* summary, int threads) {
  if (edge < 1) return THOR_BAD_BLOCK;
  if (!thor::CouldExist({blocks, edge, edge})) return THOR_BAD_SIZE;
  if (!thor::IsFiniteNotNegative(keep) || keep > 1 || !thor::IsFiniteNotNegative(scale)) return THOR_BAD_VALUE;
  if (!summary || (blocks > 0 && (!factor || !captured || !next))) return THOR_NULL_POINTER;
  const int64_t size = edge * edge, each = (size + thor::kGrain - 1) / thor::kGrain;
  const std::unique_ptr<Piece[]> pieces(new (std::nothrow) Piece[blocks * each]);
  if (!pieces) return THOR_OUT_OF_MEMORY;
  const auto implementation = THOR_CHOOSE(thor::factor_average);
  const auto look = [&](int64_t q, int64_t first, int64_t count) {
    const int64_t i = q * size + first;
    // Before the traces: it reads memory in order, they then find their elements in the cache.
    const bool finite = implementation.is_finite(captured + i, count, scale);
    pieces[q * each + first / thor::kGrain] = {Trace(factor + i, edge, first, count, 1),
                                               Trace(captured + i, edge, first, count, scale), 0, finite};
  };
  const auto average_of = [&](const float* old, float kept) {
    return [&, old, kept](int64_t q, int64_t first, int64_t count) {
      const int64_t i = q * size + first;
      if (IsSound(&pieces[q * each], each))
        implementation.average(old + i, captured + i, count, kept, 1 - kept, scale, next + i);
      else if (next != old)
        std::copy_n(old + i, count, next + i);
      pieces[q * each + first / thor::kGrain].next_trace = Trace(next + i, edge, first, count, 1);
    };
  };
  const auto is_first = [&] {
    double trace = 0;
    for (int64_t k = 0; k < blocks * each; ++k) trace += pieces[k].factor_trace;
    return !(trace > 0);
  };
  if (each > 1) {
    thor::ParallelForParts(blocks, size, threads, look);
    thor::ParallelForParts(blocks, size, threads, average_of(factor, is_first() ? 0 : keep));
  } else {  // A block is averaged while it is in a near cache, before the trace of all of factor is known.
    const auto average = average_of(factor, keep);
    thor::ParallelForParts(blocks, size, threads, [&](int64_t q, int64_t first, int64_t count) {
      look(q, first, count);
      average(q, first, count);
    });
    // 0 times an element of next is what 0 times that of factor would be: a zero of its sign, or NaN.
    if (is_first()) thor::ParallelForParts(blocks, size, threads, average_of(next, 0));
  }
  double after = 0;
  int64_t lost = 0;
  for (int64_t q = 0; q < blocks; ++q) {
    if (!IsSound(&pieces[q * each], each)) ++lost;
    for (int64_t k = 0; k < each; ++k) after += pieces[q * each + k].next_trace;
  }
  summary[0] = static_cast<float>(after);
  summary[1] = static_cast<float>(lost);
  return THOR_OK;
}

int thor_factor_average(THOR_AOT_PARAMETERS) {
  (void)stream, (void)extra;
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  if (const int status = a.Check({kF32, kF32, kF32, kF32, kF32})) return status;
  if (a.Rank(0) != 3 || !a.SameShape(0, 1)) return THOR_BAD_SHAPE;
  if (a.Elements(2) != 1 || a.Elements(3) != 1 || a.Elements(4) != 2) return THOR_BAD_SHAPE;
  if (a.Dim(0, 1) != a.Dim(0, 2)) return THOR_BAD_BLOCK;
  float* const factor = a.Data<float>(0);
  return thor_factor_average_f32(factor, a.Data<float>(1), a.Dim(0, 0), a.Dim(0, 1), *a.Data<float>(2),
                                 *a.Data<float>(3), factor, a.Data<float>(4), 0);
}

}  // extern "C"
