"""Planted mistakes in layer_norm that its tests must notice: (file, original, mutant, what it breaks)."""

ROWS = "kernels/layer_norm/rows.h"

MUTANTS = [
    (
        ROWS,
        "Keep(Load(x + j, lanes) - center, lanes)",
        "(Load(x + j, lanes) - center)",
        "empty lanes count in the variance",
    ),
    (ROWS, "variance + a.eps", "variance", "eps is forgotten"),
    (ROWS, "variance + a.eps);", "variance * h / (h - 1) + a.eps);", "variance divided by h - 1"),
    (
        ROWS,
        "const Floats d = Keep(Load(x + j, lanes) - center, lanes);\n"
        "                                          return d * d;\n"
        "                                        }) /\n"
        "                         h;",
        "const Floats d = Load(x + j, lanes);\n"
        "                                          return d * d;\n"
        "                                        }) /\n"
        "                         h - mean * mean;",
        "one-pass variance",
    ),
    (
        ROWS,
        "Load(gamma + j, lanes), Load(beta + j, lanes)",
        "Load(beta + j, lanes), Load(gamma + j, lanes)",
        "gamma and beta swapped",
    ),
    (ROWS, "a.rstd[r] = rstd;", "a.rstd[r] = variance;", "variance instead of rstd"),
    (
        ROWS,
        "const Floats mean_g = Set(SumLanes(sum_g[r]) / h)",
        "const Floats mean_g = Set(0 * SumLanes(sum_g[r]) / h)",
        "mean of g dropped from dx",
    ),
    (ROWS, "xhat * mean_gx", "mean_gx", "projection on xhat dropped from dx"),
    (
        ROWS,
        "gamma_sum = MultiplyAdd(d, xhat, gamma_sum);",
        "gamma_sum = MultiplyAdd(g, xhat, gamma_sum);",
        "gamma inside dgamma",
    ),
    (ROWS, "beta_sum = beta_sum + d;", "beta_sum = beta_sum + g;", "gamma inside dbeta"),
    (
        ROWS,
        "if (r < end) GradientOfGroup<1>",
        "if (r + 1 < end) GradientOfGroup<1>",
        "last row dropped",
    ),
    (ROWS, "Store(dbeta + j, Set(0), lanes);", "Store(dbeta + j, Set(1), lanes);", "sums do not start at zero"),
    (
        ROWS,
        "const Floats gamma = Load(a.gamma + j, lanes);",
        "const Floats gamma = Load(a.gamma + j / 2, lanes);",
        "wrong column of gamma",
    ),
    (ROWS, "mean[r] = Set(a.mean[row + r]);", "mean[r] = Set(a.mean[row]);", "mean of the group's first row"),
    (
        "kernels/common/lanes.h",
        "int64_t j = head;\n  for (; j + kLanes <= n; j += kLanes) step(j, Streamed{});",
        "int64_t j = 0;\n  for (; j + kLanes <= n; j += kLanes) step(j, Streamed{});",
        "streamed to where a row starts",
    ),
    (
        "kernels/common/lanes.h",
        "if (head > 0) step(0, First{static_cast<int>(head)});",
        "",
        "elements before the first streamed vector forgotten",
    ),
    ("kernels/layer_norm/layer_norm.cc", "if (!(a.eps >= 0)) return THOR_BAD_VALUE;", "", "bad eps accepted"),
    ("kernels/layer_norm/layer_norm.cc", "features < 1", "features < 0", "no feature accepted"),
    (
        "kernels/common/row_chunks.h",
        "c < chunks; ++c) {\n      const float* p",
        "c + 1 < chunks; ++c) {\n      const float* p",
        "last chunk not added",
    ),
    (
        "kernels/common/row_chunks.h",
        "std::max<int64_t>(32, (rows + 63) / 64)",
        "std::max<int64_t>(32, (rows + Workers(64, threads) - 1) / Workers(64, threads))",
        "chunks depend on the threads",
    ),
    ("kernels/common/row_chunks.h", "std::min(rows, end * grain)", "end * grain", "rows past the end"),
    (
        "kernels/common/lanes_avx512.h",
        "(1u << lanes.count) - 1)",
        "(1u << lanes.count))",
        "wrong lanes at the end of a row",
    ),
    (
        "kernels/common/lanes_avx512.h",
        "_mm512_set1_epi32(0x7fff)), odd)",
        "_mm512_set1_epi32(0x8000)), _mm512_setzero_si512())",
        "bfloat16 ties away from even",
    ),
    ("kernels/common/lanes_avx2.h", "lanes.count - from", "lanes.count - from - 1", "last lane dropped"),
    ("kernels/common/lanes_portable.h", "bits[i] + 0x7fff + (bits[i] >> 16 & 1)", "bits[i]", "bfloat16 truncated"),
]
