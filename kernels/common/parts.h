// A tensor seen as equal parts with a number each (a factor, a norm), cut into tasks that know nothing of threads.
#ifndef THOR_COMMON_PARTS_H_
#define THOR_COMMON_PARTS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "common/aot.h"
#include "common/parallel.h"
#include "common/row_chunks.h"

namespace thor {

inline bool IsFiniteNotNegative(float x) { return x >= 0 && std::isfinite(x); }

// body(part, first, count): `count` elements of `part` from its element `first` on, kGrain of them but for the last.
template <typename Body>
void ParallelForParts(int64_t parts, int64_t elements, int threads, Body&& body) {
  const int64_t tasks = (elements + kGrain - 1) / kGrain;  // of a part
  ParallelFor(parts * tasks, threads, [&](int64_t begin, int64_t end, int) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first = task % tasks * kGrain;
      body(task / tasks, first, std::min(kGrain, elements - first));
    }
  });
}

// Whether tensor `whole` of an entry point falls into as many equal parts as tensor `numbers` has elements.
inline bool FallsIntoParts(const AotArguments& a, int whole, int numbers) {
  return a.Elements(numbers) > 0 && a.Elements(whole) % a.Elements(numbers) == 0;
}

}  // namespace thor

#endif  // THOR_COMMON_PARTS_H_
