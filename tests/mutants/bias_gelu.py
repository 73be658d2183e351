"""Planted mistakes in bias_gelu that its tests must notice: (file, original, mutant, what it breaks)."""

BODY = "kernels/bias_gelu/body.h"
ELEMENTARY = "kernels/common/elementary.h"

MUTANTS = [
    (
        BODY,
        "Load(x + j, lanes) + Load(bias + j, lanes);\n      Store(y",
        "Load(x + j, lanes);\n      Store(y",
        "bias forgotten",
    ),
    (
        BODY,
        "Load(x + j, lanes) + Load(bias + j, lanes);\n      const Normal",
        "Load(x + j, lanes);\n      const Normal",
        "bias forgotten in the gradient",
    ),
    (
        BODY,
        "MultiplyAdd(u, normal.density, normal.distribution)",
        "normal.distribution",
        "density forgotten in the gradient",
    ),
    (
        BODY,
        "MultiplyAdd(u, normal.density, normal.distribution)",
        "MultiplyAdd(u, normal.distribution, normal.density)",
        "density and distribution swapped",
    ),
    (
        BODY,
        "Store(dbias + j, Load(dbias + j, lanes) + d, lanes);",
        "Store(dbias + j, d, lanes);",
        "dbias of the last row only",
    ),
    (BODY, "Store(dbias + j, Set(0), lanes);", "", "dbias does not start at zero"),
    (BODY, "++r, x += features, y += features", "++r, x += features, y += features - 1", "wrong stride"),
    (ELEMENTARY, "Set(0.27f)", "Set(0.271f)", "tail's variable"),
    (ELEMENTARY, "WhereLess(x, zero, tail, Set(1) - tail)", "WhereLess(x, zero, Set(1) - tail, tail)", "sides swapped"),
    (ELEMENTARY, "Set(0.398942280f)", "Set(0.3989f)", "density's factor"),
    (ELEMENTARY, "0.107722849f", "0.107722f", "tail's polynomial"),
    (ELEMENTARY, "Set(2.12194440e-4f)", "Set(2.12e-4f)", "low part of log 2"),
    (ELEMENTARY, "4.1665795894e-2f", "4.17e-2f", "exponential's polynomial"),
    (ELEMENTARY, "a * a * Set(-0.5f)", "a * Set(-0.5f)", "square forgotten"),
    ("kernels/common/lanes_avx2.h", "_mm256_set1_epi32(127)", "_mm256_set1_epi32(126)", "power of two halved"),
    (
        "kernels/common/lanes_portable.h",
        "12582912.0f) - Set(12582912.0f)",
        "12582912.0f) - Set(12582911.0f)",
        "rounding off by one",
    ),
    (
        "kernels/common/row_chunks.h",
        "body(begin * grain, std::min(rows, end * grain))",
        "body(begin * grain, std::min(rows, end * grain - 1))",
        "last row of a range",
    ),
    (
        BODY,
        "Store(dbias + j, Load(dbias + j, lanes) + d, lanes);",
        "uint16_t bits[kLanes]; Store(bits, Load(dbias + j, lanes) + d, lanes); Store(dbias + j, Load(bits, lanes), lanes);",
        "sums of dbias are kept in bfloat16",
    ),
]
