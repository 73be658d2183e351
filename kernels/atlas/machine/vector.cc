// The vector unit: arithmetic, conversion, comparison, choice, copies and sums over repeats of 256 bytes.
#include <cmath>

#include "lanes.h"

using namespace atlas;

namespace {

template <class T, class F>
void Binary(Instruction instruction, Bytes d, Bytes a, Bytes b, BinaryLayout c, F f) {
  constexpr int size = sizeof(typename T::Raw);
  EachLane(instruction, {d, c.destination_block(), c.destination_repeat(), size},
           {{a, c.left_block(), c.left_repeat(), size}, {b, c.right_block(), c.right_repeat(), size}}, c.repeats(),
           [f](uint32_t x, uint32_t y, uint64_t, int) { return f(T::Get(x), T::Get(y)); });
}

template <class D, class T, class F>
void Unary(Instruction instruction, Bytes d, Bytes a, UnaryLayout c, F f) {
  EachLane(instruction, {d, c.destination_block(), c.destination_repeat(), int(sizeof(typename D::Raw))},
           {{a, c.source_block(), c.source_repeat(), int(sizeof(typename T::Raw))}}, c.repeats(),
           [f](uint32_t x, uint32_t, uint64_t, int) { return f(T::Get(x)); });
}

template <class T>
void Fill(Instruction instruction, Bytes d, uint32_t raw, UnaryLayout c) {
  EachLane(instruction, {d, c.destination_block(), c.destination_repeat(), int(sizeof(typename T::Raw))}, {},
           c.repeats(), [raw](uint32_t, uint32_t, uint64_t, int) { return raw; });
}

// One bit per item, packed: 8 bytes per repeat of 4-byte items, 16 of 2-byte items. Only counter mode limits the items:
// the library compares whole repeats, without a mask, also past the items that it was given. Bits from there are
// doubtful.
template <class T, class F>
void Compare(Instruction instruction, Bytes d, const Operand& left, const Operand* right, uint64_t field, F f) {
  constexpr int lanes = kRepeatBytes / sizeof(typename T::Raw), per_block = lanes / 8;
  const uint64_t count = Repeats(field, lanes);
  uint64_t items = Counting() ? registers.mask[0] : count * lanes;
  if (items_to_compare >= 0) {
    const uint64_t taken = std::min<uint64_t>(items, items_to_compare);
    items = taken, items_to_compare -= taken;
  }
  Issue(instruction, double(count));
  for (uint64_t r = 0; r < count; ++r) {
    uint8_t bits[lanes / 8] = {}, doubt[lanes / 8] = {};
    for (int lane = 0; lane < lanes; ++lane) {
      if (r * lanes + lane >= items) {
        doubt[lane / 8] |= uint8_t(1 << lane % 8);
        continue;
      }
      for (const Operand* operand : {&left, right})
        if (operand && lane % per_block == 0 && !Read(UB, operand->Item(r, lane), kBlockBytes)) return;
      if (f(T::Get(Load(left, r, lane)), right ? T::Get(Load(*right, r, lane)) : 0))
        bits[lane / 8] |= uint8_t(1 << lane % 8);
    }
    const Bytes to = d + r * sizeof bits;
    if (!Write(UB, to, sizeof bits)) return;
    std::memcpy(to, bits, sizeof bits);
    MarkDoubtful(to, doubt, sizeof doubt);
  }
}

template <class T, class F>
void CompareVectors(Instruction instruction, Bytes d, Bytes a, Bytes b, BinaryLayout c, F f) {
  constexpr int size = sizeof(typename T::Raw);
  const Operand left{a, c.left_block(), c.left_repeat(), size}, right{b, c.right_block(), c.right_repeat(), size};
  Compare<T>(instruction, d, left, &right, c.repeats(), f);
}

template <class T, class F>
void CompareScalar(Instruction instruction, Bytes d, Bytes a, UnaryLayout c, F f) {
  Compare<T>(instruction, d, {a, c.source_block(), c.source_repeat(), int(sizeof(typename T::Raw))}, nullptr,
             c.repeats(), f);
}

// Mode 0: the bits of the comparison register, the same for every repeat. Mode 2: the register holds the address in UB
// of bits for all repeats.
template <class T>
void Select(Instruction instruction, Bytes d, Bytes a, Bytes b, SelectLayout c) {
  constexpr int size = sizeof(typename T::Raw), lanes = kRepeatBytes / size;
  const uint64_t mode = c.mode(), count = Repeats(c.repeats(), lanes);
  const uint64_t address = registers.compare_mask[0] & 0xFFFFFFFF;
  const Bytes at = mode ? reinterpret_cast<Bytes>(address) : reinterpret_cast<Bytes>(registers.compare_mask);
  bool doubted = false;
  const auto bit = [=](const uint8_t* bytes, uint64_t r, int lane) {
    return bytes[(mode ? r * lanes / 8 : 0) + lane / 8] >> lane % 8 & 1;
  };
  EachLane(instruction, {d, c.destination_block(), c.destination_repeat(), size},
           {{a, c.left_block(), c.left_repeat(), size}, {b, c.right_block(), c.right_repeat(), size}}, c.repeats(),
           [=, &doubted](uint32_t x, uint32_t y, uint64_t r, int lane) {
             if (mode == 2 && any_doubt) doubted |= bit(doubtful + (at - memory[UB]), r, lane);
             return bit(at, r, lane) ? x : y;
           });
  if (mode == 2) Read(UB, at, CeilDivide(Counting() ? registers.mask[0] : count * lanes, 8));
  if (doubted) Hazard("choice by a comparison past the items that were compared");
  if (mode != 0 && mode != 2) NotModelled("this mode");
}

// Folds groups of lanes into one item each, neighbours first (the order is assumed); lanes outside the mask do not
// count. Returns all results folded into one.
template <class T, class F>
float Fold(Instruction instruction, Bytes d, Bytes a, ReduceLayout c, int group_bytes, int step, F f) {
  constexpr int size = sizeof(typename T::Raw), lanes = kRepeatBytes / size;
  const int group = group_bytes / size;
  const Operand source{a, c.source_block(), c.source_repeat(), size};
  const uint64_t count = Repeats(c.repeats(), lanes);
  float all = NAN;
  bool any = false;
  Issue(instruction, double(count));
  for (uint64_t r = 0; r < count; ++r) {
    if (!TouchRepeat(source, r, lanes, false)) return all;
    for (int first = 0; first < lanes; first += group) {
      float values[lanes];
      int n = 0;
      for (int lane = first; lane < first + group; ++lane)
        if (Active(r, lane, lanes)) values[n++] = T::Get(Load(source, r, lane));
      if (!n) continue;
      for (; n > 1; n = (n + 1) / 2)
        for (int i = 0; i < n / 2 + n % 2; ++i)
          values[i] = 2 * i + 1 < n ? f(values[2 * i], values[2 * i + 1]) : values[2 * i];
      all = any ? f(all, values[0]) : values[0], any = true;
      const Bytes at = d + r * c.destination_repeat() * step + first / group * size;
      const uint32_t raw = T::Put(values[0]);
      if (!Write(UB, at, size)) return all;
      std::memcpy(at, &raw, size);
    }
  }
  return all;
}

// In counter mode every repeat copies `count` items (assumed: the library's broadcast of rows needs it).
template <class T>
void Copy(Instruction instruction, Bytes d, Bytes a, UnaryLayout c) {
  if (!Counting()) return Unary<T, T>(instruction, d, a, c, [](auto x) { return uint32_t(x); });
  constexpr uint64_t size = sizeof(typename T::Raw), per_block = kBlockBytes / size;
  Issue(instruction, double(c.repeats() * CeilDivide(registers.mask[0] * size, kRepeatBytes)));
  for (uint64_t r = 0; r < c.repeats(); ++r)
    for (uint64_t first = 0, b = 0; first < registers.mask[0]; first += per_block, ++b) {
      const uint64_t bytes = std::min(per_block, registers.mask[0] - first) * size;
      const Bytes from = a + kBlockBytes * (r * c.source_repeat() + b * c.source_block());
      const Bytes to = d + kBlockBytes * (r * c.destination_repeat() + b * c.destination_block());
      if (!Read(UB, from, bytes) || !Write(UB, to, bytes)) return;
      std::memcpy(to, from, bytes);
    }
}

// 8 items become 8 blocks, each filled with one of them.
template <class T>
void BroadcastToBlocks(Instruction instruction, Bytes d, Bytes a, UnaryLayout c) {
  using Raw = typename T::Raw;
  Issue(instruction, double(c.repeats()));
  for (uint64_t r = 0; r < c.repeats(); ++r) {
    Raw in[8];
    if (!Read(UB, a + r * sizeof in, sizeof in)) return;
    std::memcpy(in, a + r * sizeof in, sizeof in);
    for (int i = 0; i < 8; ++i) {
      const Bytes to = d + kBlockBytes * (r * c.destination_repeat() + i * c.destination_block());
      if (!Write(UB, to, kBlockBytes)) return;
      std::fill_n(reinterpret_cast<Raw*>(to), kBlockBytes / sizeof(Raw), in[i]);
    }
  }
}

// A scalar operand as the type of the vector's items.
template <class T>
typename T::Value Scalar(float x) {
  return x;
}
template <class T>
typename T::Value Scalar(_Float16 x) {
  return float(x);
}
template <class T>
typename T::Value Scalar(uint64_t x) {
  return T::Get(uint32_t(x));
}

template <class Value>
uint32_t Bits(Value value) {
  uint32_t raw = 0;
  std::memcpy(&raw, &value, std::min(sizeof raw, sizeof value));
  return raw;
}

}  // namespace

#define BINARY(NAME, T, RESULT)                                                   \
  void hivm_##NAME(Bytes d, Bytes a, Bytes b, uint64_t c) {                       \
    Binary<T>(NAME, d, a, b, {c}, [](T::Value x, T::Value y) { return RESULT; }); \
  }
#define UNARY(NAME, T, RESULT)                                       \
  void hivm_##NAME(Bytes d, Bytes a, uint64_t c) {                   \
    Unary<T, T>(NAME, d, a, {c}, [](T::Value x) { return RESULT; }); \
  }
#define SCALAR(NAME, T, SCALAR_TYPE, RESULT)                           \
  void hivm_##NAME(Bytes d, Bytes a, SCALAR_TYPE scalar, uint64_t c) { \
    const T::Value y = Scalar<T>(scalar);                              \
    Unary<T, T>(NAME, d, a, {c}, [y](T::Value x) { return RESULT; });  \
  }
#define CONVERT(NAME, D, T, MODE)                                             \
  void hivm_##NAME(Bytes d, Bytes a, uint64_t c) {                            \
    Unary<D, T>(NAME, d, a, {c}, [](T::Value x) { return D::Put<MODE>(x); }); \
  }
#define COMPARE(NAME, T, RESULT)                                                          \
  void hivm_##NAME(Bytes d, Bytes a, Bytes b, uint64_t c) {                               \
    CompareVectors<T>(NAME, d, a, b, {c}, [](T::Value x, T::Value y) { return RESULT; }); \
  }
#define COMPARE_SCALAR(NAME, T, SCALAR_TYPE, RESULT)                                 \
  void hivm_##NAME(Bytes d, Bytes a, SCALAR_TYPE scalar, uint64_t c) {               \
    const T::Value y = Scalar<T>(scalar);                                            \
    CompareScalar<T>(NAME, d, a, {c}, [y](T::Value x, T::Value) { return RESULT; }); \
  }
#define FILL(NAME, T, SCALAR_TYPE) \
  void hivm_##NAME(Bytes d, SCALAR_TYPE value, uint64_t c) { Fill<T>(NAME, d, Bits(value), {c}); }
#define SELECT(NAME, T) \
  void hivm_##NAME(Bytes d, Bytes a, Bytes b, uint64_t c) { Select<T>(NAME, d, a, b, {c}); }
#define COPY(NAME, T) \
  void hivm_##NAME(Bytes d, Bytes a, uint64_t c) { Copy<T>(NAME, d, a, {c}); }
#define BLOCKS(NAME, T) \
  void hivm_##NAME(Bytes d, Bytes a, uint64_t c) { BroadcastToBlocks<T>(NAME, d, a, {c}); }
// One item per repeat; MODE is what the last operand must be: the order of value and index in the result.
#define FOLD_REPEAT(NAME, T, MODE, RESULT)                                                 \
  void hivm_##NAME(Bytes d, Bytes a, uint64_t c, uint64_t mode) {                          \
    const auto f = [](float x, float y) -> float { return RESULT; };                       \
    registers.extreme = T::Put(Fold<T>(NAME, d, a, {c}, kRepeatBytes, sizeof(T::Raw), f)); \
    if (mode != MODE) NotModelled("this mode");                                            \
  }
#define FOLD(NAME, T, GROUP_BYTES, RESULT)                                                         \
  void hivm_##NAME(Bytes d, Bytes a, uint64_t c) {                                                 \
    constexpr int step = kRepeatBytes / (GROUP_BYTES) * sizeof(T::Raw);                            \
    Fold<T>(NAME, d, a, {c}, GROUP_BYTES, step, [](float x, float y) -> float { return RESULT; }); \
  }

extern "C" {

#include "entries.inc"  // generated from intrinsics.py

uint64_t hivm_GET_MAX_MIN_CNT() { return registers.extreme | ~uint64_t(0) << 32; }  // the place is not modelled

void hivm_SET_CMPMASK(Bytes at) {
  Issue(SET_CMPMASK, 1);
  if (Read(UB, at, sizeof registers.compare_mask))
    std::memcpy(registers.compare_mask, at, sizeof registers.compare_mask);
}

}  // extern "C"
