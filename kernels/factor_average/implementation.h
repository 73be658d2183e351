// What factor_average.cc asks of body.h.
#ifndef THOR_FACTOR_AVERAGE_IMPLEMENTATION_H_
#define THOR_FACTOR_AVERAGE_IMPLEMENTATION_H_

#include <cstdint>

#include "common/dispatch.h"

namespace thor {

struct FactorAverageImplementation {
  // Whether scale captured, rounded, is finite everywhere.
  bool (*is_finite)(const float* captured, int64_t n, float scale);
  // next = keep factor + fresh (scale captured), each operation rounded on its own.
  void (*average)(const float* factor, const float* captured, int64_t n, float keep, float fresh, float scale,
                  float* next);
};

THOR_DECLARE_IMPLEMENTATIONS(FactorAverageImplementation, factor_average);

}  // namespace thor

#endif  // THOR_FACTOR_AVERAGE_IMPLEMENTATION_H_
