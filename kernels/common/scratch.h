// Scratch memory of one call: a piece per worker, aligned to the cache line, checked by the caller.
#ifndef THOR_COMMON_SCRATCH_H_
#define THOR_COMMON_SCRATCH_H_

#include <cstdint>
#include <cstdlib>

namespace thor {

class Scratch {
 public:
  Scratch(int workers, int64_t floats_each) {
    constexpr int64_t kLimit = INT64_MAX / static_cast<int64_t>(sizeof(float));
    if (floats_each > kLimit / workers - kLine) return;
    each_ = (floats_each + kLine - 1) / kLine * kLine;
    memory_ = static_cast<float*>(std::aligned_alloc(kLine * sizeof(float), each_ * workers * sizeof(float)));
  }
  ~Scratch() { std::free(memory_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  bool Failed() const { return memory_ == nullptr; }
  float* ForWorker(int worker) const { return memory_ + worker * each_; }

 private:
  static constexpr int64_t kLine = 16;  // floats in a cache line of 64 bytes
  int64_t each_ = 0;
  float* memory_ = nullptr;
};

}  // namespace thor

#endif  // THOR_COMMON_SCRATCH_H_
