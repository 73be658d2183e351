// Sixteen lanes on any CPU: the compiler's vector extension, which it lowers to what the baseline has (SSE2, NEON).
#ifndef THOR_COMMON_LANES_PORTABLE_H_
#define THOR_COMMON_LANES_PORTABLE_H_

#include <cstdint>
#include <cstring>

namespace {

typedef float FloatQuarter __attribute__((vector_size(16)));

struct Floats {
  FloatQuarter v[4];
};

inline Floats Set(float x) {
  const FloatQuarter q = {x, x, x, x};
  return {q, q, q, q};
}
inline Floats operator+(Floats a, Floats b) {
  for (int i = 0; i < 4; ++i) a.v[i] += b.v[i];
  return a;
}
inline Floats operator-(Floats a, Floats b) {
  for (int i = 0; i < 4; ++i) a.v[i] -= b.v[i];
  return a;
}
inline Floats operator*(Floats a, Floats b) {
  for (int i = 0; i < 4; ++i) a.v[i] *= b.v[i];
  return a;
}
// a * b + c, rounded once or twice, as the instruction set has it.
inline Floats MultiplyAdd(Floats a, Floats b, Floats c) { return a * b + c; }

inline Floats Load(const float* p, First lanes) {
  Floats a = Set(0);
  std::memcpy(&a.v, p, sizeof(float) * lanes.count);
  return a;
}
inline Floats Load(const float* p, All) {
  Floats a;
  std::memcpy(&a.v, p, sizeof(a.v));
  return a;
}
inline void Store(float* p, Floats a, First lanes) { std::memcpy(p, &a.v, sizeof(float) * lanes.count); }
inline void Store(float* p, Floats a, All) { std::memcpy(p, &a.v, sizeof(a.v)); }

// bfloat16: the upper half of a float; stored by rounding to nearest, ties to even; a NaN stays a NaN.
inline Floats Load(const uint16_t* p, First lanes) {
  uint32_t bits[kLanes] = {};
  for (int i = 0; i < lanes.count; ++i) bits[i] = static_cast<uint32_t>(p[i]) << 16;
  Floats a;
  std::memcpy(&a.v, bits, sizeof(bits));
  return a;
}
inline Floats Load(const uint16_t* p, All) { return Load(p, First{kLanes}); }
inline void Store(uint16_t* p, Floats a, First lanes) {
  uint32_t bits[kLanes];
  std::memcpy(bits, &a.v, sizeof(bits));
  for (int i = 0; i < lanes.count; ++i) {
    const bool nan = (bits[i] & 0x7fffffff) > 0x7f800000;
    p[i] = static_cast<uint16_t>((nan ? bits[i] | 0x400000 : bits[i] + 0x7fff + (bits[i] >> 16 & 1)) >> 16);
  }
}
inline void Store(uint16_t* p, Floats a, All) { Store(p, a, First{kLanes}); }

// No store here goes past the caches.
template <typename T>
inline void StoreStream(T* p, Floats a) {
  Store(p, a, All{});
}
inline void StreamFence() {}
// Inlined always: GCC takes a function that only prefetches for one without an effect, and drops calls of it.
inline __attribute__((always_inline)) void Prefetch(const void* p) { __builtin_prefetch(p); }
// Into the second cache, for what is needed later than the next few thousand elements.
inline __attribute__((always_inline)) void PrefetchFar(const void* p) { __builtin_prefetch(p, 0, 2); }

inline Floats Keep(Floats a, All) { return a; }
inline Floats Keep(Floats a, First lanes) {
  float kept[kLanes];
  std::memcpy(kept, &a.v, sizeof(kept));
  return Load(kept, lanes);
}

inline float SumLanes(Floats a) {
  float s[kLanes];
  std::memcpy(s, &a.v, sizeof(s));
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) s[i] += s[i + width];
  return s[0];
}

// result[i] = operation(i) in every lane.
template <typename Operation>
inline Floats PerLane(Operation operation) {
  float r[kLanes];
  for (int i = 0; i < kLanes; ++i) r[i] = operation(i);
  return Load(r, All{});
}
inline float Get(const Floats& a, int i) { return a.v[i / 4][i % 4]; }

// The larger element; the second operand where one of them is a NaN.
inline Floats Max(Floats a, Floats b) {
  return PerLane([&](int i) { return Get(a, i) > Get(b, i) ? Get(a, i) : Get(b, i); });
}
inline Floats Min(Floats a, Floats b) {
  return PerLane([&](int i) { return Get(a, i) < Get(b, i) ? Get(a, i) : Get(b, i); });
}
// then where a < b, else otherwise.
inline Floats WhereLess(Floats a, Floats b, Floats then, Floats otherwise) {
  return PerLane([&](int i) { return Get(a, i) < Get(b, i) ? Get(then, i) : Get(otherwise, i); });
}
inline Floats Reciprocal(Floats a) {
  return PerLane([&](int i) { return 1.0f / Get(a, i); });
}
inline Floats Sqrt(Floats a) {
  return PerLane([&](int i) { return __builtin_sqrtf(Get(a, i)); });
}
// Exact below 2^22, and a NaN stays a NaN.
inline Floats RoundToNearest(Floats a) { return a + Set(12582912.0f) - Set(12582912.0f); }
// a * 2^n for integral n in [-126, 127].
inline Floats ScaleByPowerOfTwo(Floats a, Floats n) {
  return PerLane([&](int i) {
    const float clean = Get(n, i) == Get(n, i) ? Get(n, i) : 0.0f;  // a NaN has no integer; the NaN in `a` prevails
    const uint32_t bits = static_cast<uint32_t>(static_cast<int32_t>(clean) + 127) << 23;
    float power;
    std::memcpy(&power, &bits, sizeof(power));
    return Get(a, i) * power;
  });
}
inline float MaxLanes(Floats a) {
  float largest = Get(a, 0);
  for (int i = 1; i < kLanes; ++i) largest = largest > Get(a, i) ? largest : Get(a, i);
  return largest;
}

// Eight 64-bit lanes for the counter-based generator (philox.h): only the low halves count, except after Multiply.
struct Counters {
  uint64_t v[8];
};
// Sixteen 32-bit words, in memory order.
struct Words {
  uint32_t v[kLanes];
};

inline Counters SetCounters(uint64_t x) { return {{x, x, x, x, x, x, x, x}}; }
// first .. first + 7, in the lanes where Interleave expects them.
inline Counters CountFrom(uint64_t first) {
  Counters a;
  for (int i = 0; i < 8; ++i) a.v[i] = first + i;
  return a;
}
inline Counters Multiply(Counters a, Counters b) {
  for (int i = 0; i < 8; ++i) a.v[i] = (a.v[i] & 0xffffffff) * (b.v[i] & 0xffffffff);
  return a;
}
inline Counters High(Counters a) {
  for (int i = 0; i < 8; ++i) a.v[i] >>= 32;
  return a;
}
inline Counters Xor(Counters a, Counters b, Counters c) {
  for (int i = 0; i < 8; ++i) a.v[i] ^= b.v[i] ^ c.v[i];
  return a;
}
// Word k of counter i goes to position 4 i + k: the first four counters to `low`, the others to `high`.
inline void Interleave(const Counters (&c)[4], Words* low, Words* high) {
  for (int i = 0; i < kLanes; ++i) {
    low->v[i] = static_cast<uint32_t>(c[i % 4].v[i / 4]);
    high->v[i] = static_cast<uint32_t>(c[i % 4].v[4 + i / 4]);
  }
}
inline void Store(uint32_t* p, Words a) { std::memcpy(p, a.v, sizeof(a.v)); }
// value where the word is at least `threshold`, else 0.
inline Floats WhereAtLeast(Words a, uint32_t threshold, Floats value) {
  float kept[kLanes];
  std::memcpy(kept, &value.v, sizeof(kept));
  for (int i = 0; i < kLanes; ++i) kept[i] = a.v[i] >= threshold ? kept[i] : 0.0f;
  return Load(kept, All{});
}

}  // namespace

#endif  // THOR_COMMON_LANES_PORTABLE_H_
