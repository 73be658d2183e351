// What is remembered to decide whether accesses are ordered: clocks, cells of memory, flags on their way.
#ifndef THOR_ATLAS_ORDER_H_
#define THOR_ATLAS_ORDER_H_

#include <array>
#include <cstdint>
#include <vector>

#include "core.h"

namespace atlas {

constexpr int kNobody = -1, kSeveral = -2;  // programs

using Clock = std::array<uint32_t, PIPES>;

struct Cell {  // who touched a block last
  int write_pipe = -1, write_line = 0;
  uint32_t written = 0;
  Clock read{};
  int program = kNobody, writer = kNobody, reader = kNobody;  // global memory only
};

struct Region {  // an array in global memory
  uint64_t first, size;
  std::vector<Cell> cells;
};

struct Flag {
  Clock clock;
  double time;
};

}  // namespace atlas

#endif  // THOR_ATLAS_ORDER_H_
