"""Planted mistakes in softmax_cross_entropy that its tests must notice: (file, original, mutant, what it breaks)."""

BODY = "kernels/softmax_cross_entropy/body.h"
ENTRY = "kernels/softmax_cross_entropy/softmax_cross_entropy.cc"

MUTANTS = [
    (BODY, "Store(z, Set(-__builtin_inff()), All{});", "Store(z, Set(0), All{});", "lanes past the row count"),
    (BODY, "*largest + __builtin_logf", "__builtin_logf", "maximum missing"),
    (BODY, "*largest = MaxLanes(top);", "*largest = 0 * MaxLanes(top);", "overflow of the exponential"),
    (BODY, "of_label - factor", "of_label", "label missing in the gradient"),
    (BODY, "of_label - factor", "Load(gradient + label, First{1}) - factor", "label's gradient rounded twice"),
    (
        BODY,
        "d = softmax(j, lanes);",
        "d = softmax(j, lanes) * Set(1.0f + 0x1p-10f);",
        "gradient off by a quarter of a bfloat16 unit",
    ),
    (BODY, "bias_sums[label] -= scale;", "", "label missing in dbias"),
    (BODY, "Load(bias_sums + j, lanes) + d", "d", "dbias of the last row only"),
    (
        BODY,
        "Load(row + j, lanes) + Load(bias + j, lanes) - shift",
        "Load(row + j, lanes) - shift",
        "bias forgotten in the gradient",
    ),
    (ENTRY, "double sum = 1e-5;", "double sum = 0;", "no floor under the weights"),
    (ENTRY, "if (weights[r] == 0) continue;", "", "rows of weight zero are read"),
    (
        ENTRY,
        "if (weights[r] == 0)\n        std::fill_n",
        "if (weights[r] < 0)\n        std::fill_n",
        "rows of weight zero get NaN",
    ),
    (ENTRY, " && IsFirst(row, bias, labels[r])", "", "ties count as correct"),
    (ENTRY, "hits += weights[r];", "hits += 1;", "correct predictions not weighted"),
    (ENTRY, "labels[r] >= classes", "labels[r] > classes", "label one past the end accepted"),
    (ENTRY, "labels[r] < 0 ||", "", "negative label accepted"),
    (ENTRY, "*dloss * Normalizer", "Normalizer", "dloss forgotten"),
    (ENTRY, "factor * weights[r]", "factor", "weight forgotten in the gradient"),
    (ENTRY, "std::fill_n(partial[0], classes, 0.0f);", "", "dbias does not start at zero"),
    (
        ENTRY,
        "const float z = ToFloat(row[labels[r]]) + bias[labels[r]];\n    nll",
        "const float z = ToFloat(row[labels[r]]);\n    nll",
        "bias forgotten at the label",
    ),
    (
        BODY,
        "Store(bias_sums + j, Load(bias_sums + j, lanes) + d, lanes);",
        "uint16_t bits[kLanes]; Store(bits, Load(bias_sums + j, lanes) + d, lanes); Store(bias_sums + j, Load(bits, lanes), lanes);",
        "sums of dbias are kept in bfloat16",
    ),
]
