// Which elements a dropout keeps: a function of the element's index and of a key alone, so that a gradient can
// recompute it, and threads, vector width and order of evaluation cannot change it. Where processes share out the rows
// of a batch in equal slices, an element's index counts the slices before its own: all drop what one process would.
//
// Element i is kept where word i % 4 of Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011) with counter
// (i / 4 mod 2^32, i / 2^34, step, site) and key (key[0], key[1]) is at least probability * 2^32; a kept element is
// multiplied by 1 / (1 - probability).
#ifndef THOR_COMMON_DROPOUT_H_
#define THOR_COMMON_DROPOUT_H_

#include <cstdint>

namespace thor {

struct Dropout {
  uint64_t keys[10][2];  // of each of Philox's rounds, as wide as a lane of its counters
  uint32_t step, site;
  uint64_t first;      // index of this slice's first element
  uint32_t threshold;  // 0: nothing is dropped and no random number is drawn
  float scale;
};

// seed: key[0], key[1], step, slice; every slice has `elements` elements. False where the probability is not in [0, 1).
inline bool MakeDropout(float probability, const int32_t* seed, int32_t site, int64_t elements, Dropout* dropout) {
  if (!(probability >= 0 && probability < 1)) return false;
  const double p = probability;
  uint32_t key[2] = {static_cast<uint32_t>(seed[0]), static_cast<uint32_t>(seed[1])};
  for (auto& round : dropout->keys) {
    for (int k = 0; k < 2; ++k) round[k] = key[k];
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  dropout->step = static_cast<uint32_t>(seed[2]);
  dropout->site = static_cast<uint32_t>(site);
  dropout->first = static_cast<uint64_t>(static_cast<uint32_t>(seed[3])) * static_cast<uint64_t>(elements);
  dropout->threshold = static_cast<uint32_t>(p * 4294967296.0);
  dropout->scale = static_cast<float>(1.0 / (1.0 - p));
  return true;
}

}  // namespace thor

#endif  // THOR_COMMON_DROPOUT_H_
