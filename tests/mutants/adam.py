"""Planted mistakes in adam that its tests must notice: (file, original, mutant, what it breaks)."""

BODY = "kernels/adam/body.h"
CHECKS = "kernels/adam/adam.cc"

MUTANTS = [
    (BODY, "Load(t.weight + i, lanes) - Set", "Load(t.weight + i, lanes) + Set", "uphill"),
    (BODY, "Set(n.kept) * Load(t.weight", "Load(t.weight", "no decay"),
    (BODY, "Set(n.rate) * direction", "direction", "a step of 1"),
    (CHECKS, "static_cast<double>(p.rate) * p.decay", "p.decay", "decay is not multiplied by the rate"),
    (CHECKS, ", p.rate, p.decay})", "})", "rate and decay are not checked"),
    (CHECKS, "if (status == THOR_OK) *a.Data<float>(10)", "*a.Data<float>(10)", "the result is written after a failure"),
    (BODY, "Bounded(Load(t.gradient + i, lanes), n.largest)", "Load(t.gradient + i, lanes)", "squares overflow"),
    (BODY, "Max(Set(-largest), Min(Set(largest), g))", "Min(Set(largest), g)", "below zero they overflow"),
    (BODY, "Max(Set(-largest), Min(Set(largest), g))", "Max(Set(-largest), g)", "above zero they overflow"),
    (BODY, " - (g - g);", ";", "infinity counts as a large gradient"),
    (CHECKS, "kLargest / std::fabs(f)", "kLargest", "the bound is not that of f g"),
    (CHECKS, "9223372036854775808.0f", "92233720368547758080.0f", "a bound whose square is no float"),
    (BODY, "Set(n.new_second) * g * g", "Set(n.new_second) * g", "the gradient is not squared"),
    (BODY, "Set(n.new_first) * g", "g", "the fresh gradient at full weight"),
    (BODY, "Set(n.old_first), Load(t.first", "Set(n.old_second), Load(t.first", "the second beta for the first moment"),
    (BODY, "Load(t.second + i, lanes), Set", "Set(0), Set", "the second moment is forgotten"),
    (BODY, "Sqrt(v) + Set(n.eps)", "Sqrt(v + Set(n.eps))", "eps inside the root"),
    (BODY, "Sqrt(v) + Set(n.eps)", "Sqrt(v)", "eps left out"),
    (BODY, "Sqrt(v) + Set(n.eps)", "v + Set(n.eps)", "the root left out"),
    (BODY, "Set(n.correction) * m", "m", "correction left out"),
    (BODY, "Set(n.correction) * m", "Set(n.correction) * g", "the gradient instead of its average"),
    (BODY, "    Store(t.next_second + i, v, lanes);\n", "", "the second moment is not stored"),
    (CHECKS, "b[3] * f * f", "b[3] * f", "the factor is not squared"),
    (CHECKS, "b[1] * f,", "b[1],", "the factor is left out of the first moment"),
    (CHECKS, "= p.factors[part]", "= p.factors[0]", "the first part's factor for all"),
    (CHECKS, "p.betas[3], p.correction", "p.correction", "the last beta is not checked"),
    (CHECKS, "p.correction, p.eps, p.rate", "p.correction, p.rate", "eps is not checked"),
    (CHECKS, "a.SameShape(from, from + 2) && ", "", "shape of the gradient is not checked"),
    (CHECKS, " || a.Elements(from + 4) != 4", "", "number of betas is not checked"),
    ("kernels/common/lanes_avx2.h", "_mm256_sqrt_ps(a.high)", "a.high", "roots of half the lanes"),
    ("kernels/common/lanes_avx512.h", "_mm512_sqrt_ps(a.v)", "_mm512_rsqrt14_ps(a.v)", "the reciprocal of the root"),
    ("kernels/common/lanes_portable.h", "__builtin_sqrtf(Get(a, i))", "Get(a, i)", "portable code takes no root"),
    (
        BODY,
        "Store(t.result + i, Set(n.kept) * Load(t.weight + i, lanes) - Set(n.rate) * direction, lanes);",
        "uint16_t bits[kLanes];"
        " Store(bits, Set(n.kept) * Load(t.weight + i, lanes) - Set(n.rate) * direction, lanes);"
        " Store(t.result + i, Load(bits, lanes), lanes);",
        "the weight is kept in bfloat16",
    ),
    (
        BODY,
        "Store(t.next_second + i, v, lanes);",
        "uint16_t bits[kLanes];"
        " Store(bits, v, lanes); Store(t.next_second + i, Load(bits, lanes), lanes);",
        "the second moment is kept in bfloat16",
    ),
]  # fmt: skip
