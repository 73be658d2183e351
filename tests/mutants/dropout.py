"""Planted mistakes in dropout that its tests must notice: (file, original, mutant, what it breaks)."""

PHILOX = "kernels/common/philox.h"
DROPOUT = "kernels/common/dropout.h"

MUTANTS = [
    (DROPOUT, "keys[10][2]", "keys[9][2]", "a round too few"),
    (PHILOX, "0xD2511F53", "0xD2511F57", "wrong multiplier"),
    (DROPOUT, "key[0] += 0x9E3779B9;", "key[0] += 0xBB67AE85;", "wrong key schedule"),
    (PHILOX, "High(CountFrom(block))", "SetCounters(0)", "upper word of the counter lost"),
    (
        PHILOX,
        "SetCounters(d.step), SetCounters(d.site)",
        "SetCounters(d.site), SetCounters(d.step)",
        "step and site swapped",
    ),
    (PHILOX, "c[1] = p1;", "c[1] = p0;", "products swapped"),
    (
        PHILOX,
        "const int skip = static_cast<int>(first % 4);",
        "const int skip = 0;",
        "segments that start inside a block",
    ),
    (PHILOX, "PhiloxBlocks(d, begin + i / 4,", "PhiloxBlocks(d, begin,", "the same words again"),
    (PHILOX, "begin >> 32 == last >> 32", "true", "one upper word for a segment that has two"),
    (PHILOX, "last = (first + count - 1) / 4", "last = (first + count - kLanes) / 4", "the last counters' upper word"),
    (PHILOX, "d.first + first + begin,", "d.first + first,", "every segment the same mask"),
    (PHILOX, "d.first + first + begin,", "first + begin,", "every slice the same mask"),
    (DROPOUT, "static_cast<uint64_t>(elements)", "1", "slices overlap"),
    (PHILOX, "if (count > n - begin) count = n - begin;", "", "past the end"),
    (DROPOUT, "1.0 / (1.0 - p)", "1.0", "kept elements not scaled"),
    (DROPOUT, "probability < 1", "probability <= 1", "probability 1 accepted"),
    (
        "kernels/common/dropout.h",
        "static_cast<uint32_t>(p * 4294967296.0)",
        "static_cast<uint32_t>((1.0 - p) * 4294967295.0)",
        "keeps the share that it should drop",
    ),
    ("kernels/common/lanes_avx512.h", "_mm512_cmpge_epu32_mask", "_mm512_cmpge_epi32_mask", "signed comparison"),
    (
        "kernels/common/lanes_avx512.h",
        "_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7)",
        "_mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7)",
        "blocks out of order",
    ),
    (
        "kernels/common/lanes_avx2.h",
        "_mm256_setr_epi64x(4, 6, 5, 7)",
        "_mm256_setr_epi64x(0, 2, 1, 3)",
        "upper half repeats the lower",
    ),
    (
        "kernels/dropout/body.h",
        "ForEachDropoutVector(d, begin,",
        "ForEachDropoutVector(d, 0,",
        "index restarts with every thread",
    ),
    ("kernels/dropout/body.h", "b + i / 4 < blocks", "true", "words past the end"),
]
