// One core of an Atlas A2 or A3 (dav-c220) as compiled kernels see it: memories, pipes, hazards, time.
//
// Every pipe has a clock of what it knows to be finished on each pipe. set_flag(p, q) sends p's clock to q, wait_flag
// takes it, a barrier advances it. Two accesses of one cell (32 bytes on chip, 2 bytes in global memory), at least one
// a write, must be ordered by these clocks: the order in which the scalar unit issues them orders nothing. Instructions
// of V, MTE1, MTE2, MTE3 and FIX overlap with others of their own pipe until a barrier; S and M work in order.
//
// Time: a pipe starts an instruction when the one before has left it, and a flag carries the time at which everything
// before it had finished. See kernels/atlas/README.md for what is assumed.
#ifndef THOR_ATLAS_CORE_H_
#define THOR_ATLAS_CORE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "table.h"  // generated from intrinsics.py and machine.json: layouts of operand words, costs, sizes

namespace atlas {

using Bytes = uint8_t*;

enum Pipe { S, V, M, MTE1, MTE2, MTE3, ALL, FIX = 10, PIPES };
enum Memory { UB, L1, L0C, L0A, L0B, GM };

struct Registers {
  uint64_t control, mask[2], compare_mask[2], pad_value, feature_map[2], matrices, extreme;
};

extern Registers registers;
extern Bytes memory[5];

inline uint64_t CeilDivide(uint64_t a, uint64_t b) { return (a + b - 1) / b; }

// Starts an instruction on its pipe; `units` times its cost is how long it keeps the pipe.
void Issue(Instruction instruction, double units);

// An access by the instruction that was issued last. False: outside of the memory, do not perform it.
bool Read(Memory where, const void* at, size_t size);
bool Write(Memory where, const void* at, size_t size);

// Items that the library was asked to compare and has not compared yet; -1: not known, all count.
extern int64_t items_to_compare;

// Of every bit of UB, whether it came from a comparison past these items. A write clears it.
extern uint8_t* doubtful;
extern bool any_doubt;

// Records a hazard of the instruction that was issued last.
void Hazard(const std::string& sentence);
void NotModelled(const std::string& what);
void CheckAligned(const void* at);

}  // namespace atlas

#endif  // THOR_ATLAS_CORE_H_
