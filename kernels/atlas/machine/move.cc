// Control registers, and moves between global memory and the unified buffer.
#include <algorithm>

#include "core.h"

using namespace atlas;

extern "C" {
void machine_set_flag(uint64_t p, uint64_t q, uint64_t event, int64_t number);
void machine_wait_flag(uint64_t p, uint64_t q, uint64_t event, int64_t number);
void machine_barrier(uint64_t pipe, int64_t number);
}

namespace {

constexpr int64_t kLibrary = -1;  // flags and barriers inside the device library are no mutants

// Rows of bytes; a row on the UB side is padded to whole blocks, its tail with `right` items of the padding value.
template <class T>
void GlobalToUnified(Instruction instruction, Bytes d, Bytes s, MoveLayout c) {
  const uint64_t size = c.bytes(), left = c.left_padding() * sizeof(T), right = c.right_padding() * sizeof(T);
  const uint64_t whole = CeilDivide(left + size + right, 32) * 32;
  Issue(instruction, double(c.rows() * size));
  CheckAligned(d);
  const T padding = T(registers.pad_value);
  for (uint64_t i = 0; i < c.rows(); ++i, d += whole + c.destination_gap() * 32, s += size + c.source_gap()) {
    if (!Read(GM, s, size) || !Write(UB, d, whole)) return;
    std::fill_n(reinterpret_cast<T*>(d), c.left_padding(), padding);
    std::memcpy(d + left, s, size);
    for (uint64_t k = 0; k < c.right_padding(); ++k) std::memcpy(d + left + size + k * sizeof(T), &padding, sizeof(T));
  }
}

void UnifiedToGlobal(Instruction instruction, Bytes d, Bytes s, MoveLayout c) {
  const uint64_t size = c.bytes();
  Issue(instruction, double(c.rows() * size));
  CheckAligned(s);
  for (uint64_t i = 0; i < c.rows(); ++i) {
    if (!Read(UB, s, size) || !Write(GM, d, size)) return;
    std::memcpy(d, s, size);
    s += CeilDivide(size, 32) * 32 + c.source_gap() * 32, d += size + c.destination_gap();
  }
}

}  // namespace

extern "C" {

void hivm_SET_FLAG_IMM(uint64_t p, uint64_t q, uint64_t event) { machine_set_flag(p, q, event, kLibrary); }
void hivm_SET_FLAG_REG(uint64_t p, uint64_t q, uint64_t event) { machine_set_flag(p, q, event, kLibrary); }
void hivm_WAIT_FLAG_IMM(uint64_t p, uint64_t q, uint64_t event) { machine_wait_flag(p, q, event, kLibrary); }
void hivm_WAIT_FLAG_REG(uint64_t p, uint64_t q, uint64_t event) { machine_wait_flag(p, q, event, kLibrary); }
void hivm_BARRIER(uint64_t pipe) { machine_barrier(pipe, kLibrary); }
uint64_t hivm_GET_CTRL() { return registers.control; }
void hivm_SET_CTRL(uint64_t value) { registers.control = value; }
uint64_t hivm_SBITSET0(uint64_t value, uint64_t bit) { return value & ~(uint64_t(1) << bit); }
uint64_t hivm_SBITSET1(uint64_t value, uint64_t bit) { return value | uint64_t(1) << bit; }
void hivm_MOVEMASK(uint64_t half, uint64_t value) { registers.mask[half & 1] = value; }
void hivm_SET_MOV_PAD_VAL(uint64_t value) { registers.pad_value = value; }
void machine_mask_norm() { registers.control &= ~(uint64_t(1) << kCounterBit); }

#define GLOBAL_TO_UNIFIED(NAME, T) \
  void hivm_##NAME(Bytes d, Bytes s, uint64_t c, uint64_t gaps) { GlobalToUnified<T>(NAME, d, s, {c, gaps}); }
#define UNIFIED_TO_GLOBAL(NAME) \
  void hivm_##NAME(Bytes d, Bytes s, uint64_t c, uint64_t gaps) { UnifiedToGlobal(NAME, d, s, {c, gaps}); }
GLOBAL_TO_UNIFIED(MOV_OUT_TO_UB_ALIGN_b8_V220, uint8_t)
GLOBAL_TO_UNIFIED(MOV_OUT_TO_UB_ALIGN_b16_V220, uint16_t)
GLOBAL_TO_UNIFIED(MOV_OUT_TO_UB_ALIGN_b32_V220, uint32_t)
UNIFIED_TO_GLOBAL(MOV_UB_TO_OUT_ALIGN_b8_V220)
UNIFIED_TO_GLOBAL(MOV_UB_TO_OUT_ALIGN_b16_V220)
UNIFIED_TO_GLOBAL(MOV_UB_TO_OUT_ALIGN_b32_V220)

void hivm_MOV_UB_TO_UB_v220(Bytes d, Bytes s, uint64_t word) {
  const BlockMoveLayout c{word};
  const uint64_t size = c.blocks() * 32;
  Issue(MOV_UB_TO_UB_v220, double(c.rows() * size));
  for (uint64_t i = 0; i < c.rows(); ++i, s += size + c.source_gap() * 32, d += size + c.destination_gap() * 32) {
    if (!Read(UB, s, size) || !Write(UB, d, size)) return;
    std::memmove(d, s, size);
  }
}

}  // extern "C"
