"""Planted mistakes in attention that its tests must notice: (file, original, mutant, what it breaks)."""

BODY = "kernels/attention/body.h"
PRODUCTS = "kernels/attention/products.h"
ENTRY = "kernels/attention/attention.cc"

MUTANTS = [
    (
        ENTRY,
        "site, batch * heads * length * length, dropout",
        "site, batch * heads * length, dropout",
        "slices overlap",
    ),
    (BODY, "-__builtin_inff();\n}", "0.0f;\n}", "lanes past the sequence count"),
    (BODY, "Load(scores + j, lanes) + Load(mask + j, lanes);", "Load(scores + j, lanes);", "mask forgotten"),
    (
        BODY,
        "const float top = MaxLanes(largest);",
        "const float top = 0 * MaxLanes(largest);",
        "overflow of the exponential",
    ),
    (BODY, "return top + __builtin_logf(sum);", "return __builtin_logf(sum);", "maximum missing in log_sum_exp"),
    (BODY, "bias, 1.0f / __builtin_sqrtf(n.head_size), q);", "bias, 1.0f, q);", "scores not scaled"),
    (BODY, "const Floats value = sum * Set(scale);", "const Floats value = sum;", "scale forgotten in dq"),
    (BODY, "(Load(dscores + j, lanes) - mean)", "Load(dscores + j, lanes)", "mean forgotten in the softmax's gradient"),
    (
        BODY,
        "Accumulate(n, {scores, 1, n.padded_length}, rows, dout + first * kLanes, dv);",
        "Accumulate(n, {scores, 1, n.padded_length}, rows, dout, dv);",
        "wrong block of queries in dv",
    ),
    (
        BODY,
        "Accumulate(n, {dscores, 1, n.padded_length}, rows, q + first * kLanes, dk);",
        "Accumulate(n, {dscores, 1, n.padded_length}, rows, q, dk);",
        "wrong block of queries in dk",
    ),
    (
        BODY,
        "Store(p, Load(p, All{}) + sum, All{});",
        "Store(p, sum, All{});",
        "only the last block of queries in dk and dv",
    ),
    (BODY, "Zero(2 * matrix, dk);", "Zero(matrix, dk);", "dv does not start at zero"),
    (
        BODY,
        "StorePanels(n, dv, dqkv + 2 * n.hidden, sums + 2 * n.hidden);",
        "StorePanels(n, dk, dqkv + 2 * n.hidden, sums + 2 * n.hidden);",
        "dk stored as dv",
    ),
    (BODY, "Zero(n.head_size, sums);", "", "bias sums of q do not start at zero"),
    (
        BODY,
        "Exp(Load(scores + j, lanes) + Load(mask + j, lanes) - shift)",
        "Exp(Load(scores + j, lanes) - shift)",
        "mask forgotten in the gradient",
    ),
    (
        BODY,
        "const int64_t index = head * n.length + first + i;\n",
        "const int64_t index = head * n.length + i;\n",
        "index of the first block",
    ),
    (
        PRODUCTS,
        "Load(source + (s + r) * stride + j, lanes) + shift",
        "Load(source + (s + r) * stride + j, lanes)",
        "bias forgotten in the transposed factors",
    ),
    (PRODUCTS, "Smaller(kLanes, d - k)", "kLanes", "depth past the head size"),
    (PRODUCTS, "Smaller(kTileRows, rows - i)", "kTileRows", "rows past the block"),
    (PRODUCTS, "(first + i) * kLanes, kLanes, 1}", "i * kLanes, kLanes, 1}", "first block of queries again"),
    (
        ENTRY,
        "for (int64_t b = 1; b < batch; ++b)",
        "for (int64_t b = 1; b + 1 < batch; ++b)",
        "last sequence missing in dbias",
    ),
    (ENTRY, " || a.Dim(7, 0) != batch", "", "log_sum_exp of another batch accepted"),
]
