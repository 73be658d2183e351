// Runs the CCE source that AKG emits for Ascend 910 (dav-c100) on the host, one core after the other, and checks it.
//
// Legal types are the overloads below: anything else does not compile. While it runs: every access lies inside its
// buffer or tensor, addresses are aligned, strides and repeats fit their fields, flags pair up, accesses of different
// pipes to the same 32-byte block are ordered by flags or barriers, and no two cores write the same bytes. What was
// never written reads as NaN. Not checked: hazards inside one pipe, scalar accesses other than by guard pages, time.
#pragma once

#include <sys/mman.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <type_traits>
#include <vector>

#define __CCE_KT_TEST__
#define __global__
#define __gm__
#define __ubuf__
#define __cbuf__
#define __ca__
#define __cb__
#define __cc__

using half = _Float16;

enum Pipe { PIPE_S, PIPE_V, PIPE_M, PIPE_MTE1, PIPE_MTE2, PIPE_MTE3, PIPE_ALL };
enum Event { EVENT_ID0, EVENT_ID1, EVENT_ID2, EVENT_ID3 };
enum Mode { PAD_NONE, CRMODE_NONE, CRMODE_F32toF16_NONE };
enum Place { GM, UBUF, CBUF, CA, CB, CC };

constexpr int kPipes = 6;
constexpr size_t kBlock = 32, kRepeat = 256, kPage = 4096, kFractal = 256;
static int block_idx = 0;

[[noreturn]] inline void Fail(const char* what, const char* instruction) {
  std::fprintf(stderr, "core %d: %s: %s\n", block_idx, instruction, what);
  std::exit(1);
}

inline void Require(bool holds, const char* what, const char* instruction) {
  if (!holds) Fail(what, instruction);
}

using Clock = std::vector<uint64_t>;

struct Shadow {  // of one 32-byte block
  int writer = -1;
  uint64_t written = 0, read[kPipes] = {};
};

struct Region {
  Place place;
  char* base;
  size_t bytes;
  std::vector<Shadow> shadow;
  std::vector<int> owner;  // of every byte of a tensor: the core that wrote it
};

struct Machine {
  std::vector<Region> regions;
  uint64_t mask_high = ~0ull, mask_low = ~0ull;
  bool atomic = false;
  std::vector<Clock> clocks;
  std::map<int, std::deque<Clock>> flags;

  char* Add(Place place, size_t bytes) {  // ends, up to the 32-byte block, right before a page that cannot be touched
    size_t whole = (bytes + kBlock - 1) / kBlock * kBlock, pages = (whole + kPage - 1) / kPage * kPage;
    char* memory = static_cast<char*>(
        mmap(nullptr, pages + 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (mprotect(memory + kPage, pages, PROT_READ | PROT_WRITE) != 0) std::abort();
    char* base = memory + kPage + pages - whole;
    std::memset(base, 0xff, whole);
    regions.push_back({place, base, whole, std::vector<Shadow>(whole / kBlock), {}});
    if (place == GM) regions.back().owner.assign(whole, -1);
    return base;
  }

  void StartCore(int core) {
    block_idx = core;
    mask_high = mask_low = ~0ull;
    clocks.assign(kPipes, Clock(kPipes, 0));
    flags.clear();
    for (Region& region : regions) {
      region.shadow.assign(region.shadow.size(), Shadow());
      if (region.place != GM) std::memset(region.base, 0xff, region.bytes);
    }
  }

  void EndCore() {
    for (auto& entry : flags) Require(entry.second.empty(), "a flag was set and never waited for", "end");
  }

  Region& Find(const void* address, Place place, const char* instruction) {
    const char* byte = static_cast<const char*>(address);
    for (Region& region : regions) {
      if (region.place == place && byte >= region.base && byte < region.base + region.bytes) return region;
    }
    Fail("an address outside every buffer of its kind", instruction);
  }
};

inline Machine machine;

// One access of `bytes` at `address` by `pipe`; its order against the other pipes.
inline void Touch(const void* address, size_t bytes, Place place, Pipe pipe, bool write, const char* instruction) {
  Region& region = machine.Find(address, place, instruction);
  size_t first = static_cast<const char*>(address) - region.base;
  Require(first + bytes <= region.bytes, "it reaches past the end of its buffer or tensor", instruction);
  Clock& clock = machine.clocks[pipe];
  for (size_t k = first / kBlock; k <= (first + bytes - 1) / kBlock; ++k) {
    Shadow& block = region.shadow[k];
    bool ordered = block.writer < 0 || block.writer == pipe || block.written <= clock[block.writer];
    for (int other = 0; write && other < kPipes; ++other) {
      ordered = ordered && (other == pipe || block.read[other] <= clock[other]);
    }
    Require(ordered, "no flag orders it after another pipe's access to the same block", instruction);
    if (write) {
      block.writer = pipe;
      block.written = clock[pipe];
    } else {
      block.read[pipe] = clock[pipe];
    }
  }
  for (size_t k = first; write && place == GM && !machine.atomic && k < first + bytes; ++k) {
    Require(region.owner[k] < 0 || region.owner[k] == block_idx, "two cores write the same bytes", instruction);
    region.owner[k] = block_idx;
  }
}

inline void Begin(Pipe pipe) { ++machine.clocks[pipe][pipe]; }

template <class T>
T* Allocate(Place place, uint64_t offset) {
  for (Region& region : machine.regions) {
    if (region.place != place) continue;
    Require(offset < region.bytes && offset % kBlock == 0, "a tensor placed outside the buffer or unaligned",
            "address");
    return reinterpret_cast<T*>(region.base + offset);
  }
  Fail("no such buffer", "address");
}

// Synchronisation --------------------------------------------------------------------------------------------------

inline void Join(Clock& into, const Clock& from) {
  for (int k = 0; k < kPipes; ++k) into[k] = std::max(into[k], from[k]);
}

inline void set_flag(Pipe from, Pipe to, Event id) {
  machine.flags[(from * kPipes + to) * 4 + id].push_back(machine.clocks[from]);
}

inline void wait_flag(Pipe from, Pipe to, Event id) {
  auto& queue = machine.flags[(from * kPipes + to) * 4 + id];
  Require(!queue.empty(), "it waits for a flag that was not set", "wait_flag");
  Join(machine.clocks[to], queue.front());
  queue.pop_front();
}

inline void pipe_barrier(Pipe pipe) {
  if (pipe != PIPE_ALL) return;
  Clock all(kPipes, 0);
  for (Clock& clock : machine.clocks) Join(all, clock);
  for (Clock& clock : machine.clocks) clock = all;
}

inline void set_vector_mask(uint64_t high, uint64_t low) {
  machine.mask_high = high;
  machine.mask_low = low;
}
inline void set_padding(uint64_t) {}
inline void set_atomic_none() { machine.atomic = false; }
inline uint64_t get_status() { return 0; }

// Moves --------------------------------------------------------------------------------------------------------------

inline void CheckField(int64_t value, int64_t limit, const char* instruction) {
  Require(value >= 0 && value <= limit, "a repeat, burst or stride that its field cannot hold", instruction);
}

inline void CheckAligned(const void* address, size_t unit, const char* instruction) {
  Require(reinterpret_cast<uintptr_t>(address) % unit == 0, "an address that is not aligned", instruction);
}

inline void Move(void* target, Place to, const void* source, Place from, Pipe pipe, int64_t bursts, int64_t length,
                 int64_t source_gap, int64_t target_gap, const char* instruction) {
  Begin(pipe);
  CheckField(bursts - 1, 4094, instruction);
  CheckField(length - 1, 65534, instruction);
  CheckField(source_gap, 65535, instruction);
  CheckField(target_gap, 65535, instruction);
  if (from != GM) CheckAligned(source, kBlock, instruction);
  if (to != GM) CheckAligned(target, kBlock, instruction);
  for (int64_t k = 0; k < bursts; ++k) {
    char* into = static_cast<char*>(target) + k * (length + target_gap) * kBlock;
    const char* out = static_cast<const char*>(source) + k * (length + source_gap) * kBlock;
    Touch(out, length * kBlock, from, pipe, false, instruction);
    Touch(into, length * kBlock, to, pipe, true, instruction);
    std::memmove(into, out, length * kBlock);
  }
}

template <class T>
void copy_gm_to_ubuf(T* to, T* from, int, int64_t n, int64_t length, int64_t source_gap, int64_t target_gap) {
  Move(to, UBUF, from, GM, PIPE_MTE2, n, length, source_gap, target_gap, "copy_gm_to_ubuf");
}
template <class T>
void copy_ubuf_to_gm(T* to, T* from, int, int64_t n, int64_t length, int64_t source_gap, int64_t target_gap) {
  Move(to, GM, from, UBUF, PIPE_MTE3, n, length, source_gap, target_gap, "copy_ubuf_to_gm");
}
template <class T>
void copy_gm_to_cbuf(T* to, T* from, int, int64_t n, int64_t length, int64_t source_gap, int64_t target_gap, Mode) {
  Move(to, CBUF, from, GM, PIPE_MTE2, n, length, source_gap, target_gap, "copy_gm_to_cbuf");
}
template <class T>
void copy_ubuf_to_ubuf(T* to, T* from, int, int64_t n, int64_t length, int64_t source_gap, int64_t target_gap) {
  Move(to, UBUF, from, UBUF, PIPE_V, n, length, source_gap, target_gap, "copy_ubuf_to_ubuf");
}

inline void copy_matrix_cc_to_ubuf(float* to, float* from, int, int64_t n, int64_t length, int64_t source_gap,
                                   int64_t target_gap, Mode mode) {
  const char* name = "copy_matrix_cc_to_ubuf";
  Begin(PIPE_V);
  Require(mode == CRMODE_NONE, "a conversion that is not modelled", name);
  CheckAligned(to, kBlock, name);
  CheckAligned(from, 1024, name);
  for (int64_t k = 0; k < n; ++k) {
    float* out = from + k * (length + source_gap) * kFractal;
    float* into = to + k * (length * kFractal + target_gap * 8);
    Touch(out, length * kFractal * 4, CC, PIPE_V, false, name);
    Touch(into, length * kFractal * 4, UBUF, PIPE_V, true, name);
    std::memcpy(into, out, length * kFractal * 4);
  }
}

// The cube -----------------------------------------------------------------------------------------------------------

inline void LoadFractals(half* to, Place place, half* from, int64_t base, int64_t n, int64_t stride, bool transpose,
                         const char* name) {
  Begin(PIPE_MTE1);
  CheckField(n - 1, 254, name);
  CheckField(stride, 65535, name);
  CheckAligned(to, 512, name);
  CheckAligned(from, 512, name);
  for (int64_t k = 0; k < n; ++k) {
    half *out = from + (base + k * stride) * kFractal, *into = to + k * kFractal;
    Touch(out, kFractal * 2, CBUF, PIPE_MTE1, false, name);
    Touch(into, kFractal * 2, place, PIPE_MTE1, true, name);
    for (int i = 0; i < 256; ++i) into[i] = out[transpose ? i % 16 * 16 + i / 16 : i];
  }
}
inline void load_cbuf_to_ca(half* to, half* from, int64_t base, int64_t n, int64_t stride, int, bool transpose) {
  LoadFractals(to, CA, from, base, n, stride, transpose, "load_cbuf_to_ca");
}
inline void load_cbuf_to_cb(half* to, half* from, int64_t base, int64_t n, int64_t stride, int, bool transpose) {
  LoadFractals(to, CB, from, base, n, stride, transpose, "load_cbuf_to_cb");
}

inline void mad(float* c, half* a, half* b, int64_t m, int64_t k, int64_t n, int clear) {
  Begin(PIPE_M);
  CheckField(m - 1, 4094, "mad");
  CheckField(k - 1, 4094, "mad");
  CheckField(n - 1, 4094, "mad");
  Require(m % 16 == 0 && k % 16 == 0 && n % 16 == 0, "an extent that is not a multiple of 16", "mad");
  Touch(a, m * k * 2, CA, PIPE_M, false, "mad");
  Touch(b, k * n * 2, CB, PIPE_M, false, "mad");
  if (!clear) Touch(c, m * n * 4, CC, PIPE_M, false, "mad");
  Touch(c, m * n * 4, CC, PIPE_M, true, "mad");
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      float& total = c[(j / 16 * (m / 16) + i / 16) * 256 + i % 16 * 16 + j % 16];
      if (clear) total = 0;
      for (int64_t l = 0; l < k; ++l) {
        float left = a[(i / 16 * (k / 16) + l / 16) * 256 + i % 16 * 16 + l % 16];
        total += left * static_cast<float>(b[(l / 16 * (n / 16) + j / 16) * 256 + j % 16 * 16 + l % 16]);
      }
    }
  }
}
