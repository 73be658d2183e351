"""Planted mistakes in attention that its tests must notice: (file, original, mutant, what it breaks)."""

BODY = "kernels/attention/body.h"
HEADS = "kernels/attention/heads.h"
PAIRS = "kernels/attention/avx512_bf16.cc"
PACKED = "kernels/attention/pairs.h"
PRODUCTS = "kernels/attention/products.h"
ENTRY = "kernels/attention/attention.cc"

MUTANTS = [
    (
        ENTRY,
        "site, batch * heads * length * length, dropout",
        "site, batch * heads * length, dropout",
        "slices overlap",
    ),
    (
        HEADS,
        "masked ? -__builtin_inff() : mask[j];",
        "j >= n.length ? 0.0f : masked ? -__builtin_inff() : mask[j];",
        "lanes past the sequence count",
    ),
    (HEADS, "mask[j] <= thor::kMasked", "mask[j] < thor::kMasked", "-10000 does not mask"),
    (HEADS, "any |= !masked;", "any = true;", "a sequence that is masked everywhere becomes NaN"),
    (
        HEADS,
        "Zero(n.head_size, a.bias_sums",
        "Zero(0, a.bias_sums",
        "bias sums of a masked sequence keep what was there",
    ),
    (
        HEADS,
        "a.log_sum_exp[head * n.length + i] = ",
        "if (i > 0) a.log_sum_exp[head * n.length + i] = ",
        "log_sum_exp not stored",
    ),
    (PAIRS, "mask[j] += h.scale * Dot", "mask[j] += 0 * Dot", "bias of q forgotten in bfloat16 scores"),
    (PAIRS, "*log_sum_exp += ForgottenTerm(n, h, first + i);", "", "bias of k forgotten in log_sum_exp"),
    (PAIRS, "EndPairs(n.length, weights);", "", "an odd last key paired with what was there"),
    (
        PAIRS,
        "StoreBits(odd + j, bits[1], lanes);",
        "StoreBits(odd + j, bits[0], lanes);",
        "ds of the even query for the odd one in dq",
    ),
    (PAIRS, "MultiplyAdd(bias, Set(normalizers[i].kept), mixed)", "bias + mixed", "bias of v not dropped"),
    (PAIRS, "SumLanes(kept) / total", "SumLanes(kept)", "bias of v not normalised"),
    (PAIRS, "(Load(dscores + j, lanes) + more)", "Load(dscores + j, lanes)", "bias of v forgotten in the gradient"),
    (PAIRS, "  AddBias(n, key_sums, h.q_bias, h.scale, dk);\n", "", "bias of q forgotten in dk"),
    (PAIRS, "        Zero(next, weights);\n", "", "an odd last query paired with what was there"),
    (
        PAIRS,
        "scores + next, 1, 2 * next}, depth, dout_pairs + pair",
        "scores + next, 1, 2 * next}, depth, dout_pairs",
        "wrong block of queries in dv",
    ),
    (PAIRS, "Zero(next, key_sums);", "", "key sums do not start at zero"),
    (
        PAIRS,
        "- Load(scores + next + j, lanes) * mean[1]",
        "- Load(scores + next + j, lanes) * mean[0]",
        "mean of the other query",
    ),
    (
        PACKED,
        "s + 1 < n.length ? LoadBits(even + stride, lanes) : __m256i{}",
        "LoadBits(even + stride, lanes)",
        "row past the sequence",
    ),
    (
        PACKED,
        "Smaller(2 * kLanes, n.head_size - 2 * c)",
        "Smaller(2 * kLanes, n.head_size + 1 - 2 * c)",
        "column past the head",
    ),
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
        "rows, dout + first * kLanes, n.padded_length, dv);",
        "rows, dout, n.padded_length, dv);",
        "wrong block of queries in dv",
    ),
    (
        BODY,
        "rows, q + first * kLanes, n.padded_length, dk);",
        "rows, q, n.padded_length, dk);",
        "wrong block of queries in dk",
    ),
    (
        PRODUCTS,
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
    (
        PRODUCTS,
        "Store(p, Load(p, All{}) + sum, All{});",
        "uint16_t bits[kLanes]; Store(bits, Load(p, All{}) + sum, All{}); Store(p, Load(bits, All{}), All{});",
        "sums over blocks of queries are kept in bfloat16",
    ),
]
