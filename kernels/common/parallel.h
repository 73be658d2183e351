// Threads: one small pool for the whole library, a static partition of the work, the same bits for any number of
// threads.
//
// A kernel splits its work into tasks whose results do not depend on who runs them, and calls ParallelFor. Task ranges
// are handed out statically, so a task never moves between runs. When another thread is already inside the pool
// (MindSpore may launch two operators at once) the caller does all its tasks itself: the machine is never
// oversubscribed by us.
#ifndef THOR_COMMON_PARALLEL_H_
#define THOR_COMMON_PARALLEL_H_

#include <cstdint>

#include "common/export.h"

extern "C" {
// Threads that kernels use when a call says 0. THOR_NUM_THREADS at the first call, else the cores this process may run
// on.
THOR_EXPORT int thor_num_threads(void);
// Sets that number; below 1 restores the default. Returns the number in use.
THOR_EXPORT int thor_set_num_threads(int threads);
}

namespace thor {

using RangeFunction = void (*)(void* context, int64_t begin, int64_t end, int worker);

// Splits [0, tasks) into one contiguous range per worker and runs them on at most `threads` threads (0:
// thor_num_threads()).
void ParallelRanges(int64_t tasks, int threads, RangeFunction function, void* context);

// How many workers ParallelRanges would use: what per-worker scratch memory has to be sized for.
int Workers(int64_t tasks, int threads);

// body(begin, end, worker)
template <typename Body>
void ParallelFor(int64_t tasks, int threads, Body&& body) {
  ParallelRanges(
      tasks, threads,
      [](void* context, int64_t begin, int64_t end, int worker) { (*static_cast<Body*>(context))(begin, end, worker); },
      &body);
}

}  // namespace thor

#endif  // THOR_COMMON_PARALLEL_H_
