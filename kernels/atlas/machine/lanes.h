// Repeats, blocks, lanes and masks of the vector unit.
#ifndef THOR_ATLAS_LANES_H_
#define THOR_ATLAS_LANES_H_

#include <algorithm>
#include <initializer_list>

#include "core.h"
#include "numbers.h"

namespace atlas {

constexpr int kBlockBytes = 32, kRepeatBytes = 256;

// A vector operand: block b of repeat r starts 32 (r repeat_stride + b block_stride) bytes after `at`.
struct Operand {
  Bytes at;
  uint64_t block_stride, repeat_stride;
  int size;  // bytes of an item
  Bytes Item(uint64_t repeat, int lane) const {
    const int byte = lane * size;
    return at + kBlockBytes * (repeat * repeat_stride + byte / kBlockBytes * block_stride) + byte % kBlockBytes;
  }
};

// Counter mode: mask[0] is the number of items of the whole instruction; else its bits are the lanes of every repeat.
inline bool Counting() { return registers.control >> kCounterBit & 1; }
inline uint64_t Repeats(uint64_t field, int lanes) { return Counting() ? CeilDivide(registers.mask[0], lanes) : field; }
inline bool Active(uint64_t repeat, int lane, int lanes) {
  if (Counting()) return repeat * lanes + lane < registers.mask[0];
  return registers.mask[lane / 64] >> lane % 64 & 1;
}
inline bool AnyActive(uint64_t repeat, int first, int count, int lanes) {
  for (int lane = first; lane < first + count; ++lane)
    if (Active(repeat, lane, lanes)) return true;
  return false;
}

inline uint32_t Load(const Operand& operand, uint64_t repeat, int lane) {
  uint32_t raw = 0;
  std::memcpy(&raw, operand.Item(repeat, lane), operand.size);
  return raw;
}

// Announces the blocks of one repeat that hold active lanes; false when one of them lies outside of UB.
inline bool TouchRepeat(const Operand& operand, uint64_t repeat, int lanes, bool write) {
  const int per_block = std::min(kBlockBytes / operand.size, lanes);
  for (int lane = 0; lane < lanes; lane += per_block)
    if (AnyActive(repeat, lane, per_block, lanes)) {
      const Bytes block = operand.Item(repeat, lane);
      if (!(write ? Write(UB, block, per_block * operand.size) : Read(UB, block, per_block * operand.size)))
        return false;
    }
  return true;
}

inline void MarkDoubtful(const void* at, const uint8_t* doubt, size_t size) {
  for (size_t i = 0; i < size; ++i)
    if (doubt[i]) any_doubt = true, doubtful[static_cast<const uint8_t*>(at) - memory[UB] + i] = doubt[i];
}

inline uint32_t LoadDoubt(const Operand& operand, uint64_t repeat, int lane) {
  uint32_t raw = 0;
  std::memcpy(&raw, doubtful + (operand.Item(repeat, lane) - memory[UB]), operand.size);
  return raw;
}

// destination[lane] = f(sources[lane]..., repeat, lane) for the active lanes; a repeat reads before it writes
// (assumed).
template <class F>
void EachLane(Instruction instruction, const Operand& destination, std::initializer_list<Operand> sources,
              uint64_t field, F f) {
  int size = destination.size;
  for (const Operand& source : sources) size = std::max(size, source.size);
  const int lanes = kRepeatBytes / size;
  const uint64_t count = Repeats(field, lanes);
  Issue(instruction, double(count));
  CheckAligned(destination.at);
  for (uint64_t r = 0; r < count; ++r) {
    uint32_t in[2][kRepeatBytes] = {}, doubt[kRepeatBytes] = {};
    int k = 0;
    for (const Operand& source : sources) {
      if (!TouchRepeat(source, r, lanes, false)) return;
      for (int lane = 0; lane < lanes; ++lane)
        if (Active(r, lane, lanes)) {
          in[k][lane] = Load(source, r, lane);
          if (any_doubt) doubt[lane] |= LoadDoubt(source, r, lane);
        }
      ++k;
    }
    if (!TouchRepeat(destination, r, lanes, true)) return;
    for (int lane = 0; lane < lanes; ++lane) {
      if (!Active(r, lane, lanes)) continue;
      const uint32_t value = f(in[0][lane], in[1][lane], r, lane);
      std::memcpy(destination.Item(r, lane), &value, destination.size);
      if (doubt[lane])
        MarkDoubtful(destination.Item(r, lane), reinterpret_cast<uint8_t*>(&doubt[lane]), destination.size);
    }
  }
}

}  // namespace atlas

#endif  // THOR_ATLAS_LANES_H_
