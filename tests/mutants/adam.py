"""Seeded mistakes in adam that its tests must notice: (file, original, mutant, what it breaks)."""

BODY = "kernels/adam/body.h"
CHECKS = "kernels/adam/adam.cc"

MUTANTS = [
    (BODY, "Set(w.new_second) * g * g", "Set(w.new_second) * g", "the gradient is not squared"),
    (BODY, "Set(w.new_first) * g", "g", "the fresh gradient at full weight"),
    (BODY, "Set(w.old_first), Load(first", "Set(w.old_second), Load(first", "the second beta for the first moment"),
    (BODY, "Load(second + i, lanes), Set", "Set(0), Set", "the second moment is forgotten"),
    (BODY, "Sqrt(v) + Set(w.eps)", "Sqrt(v + Set(w.eps))", "eps inside the root"),
    (BODY, "Sqrt(v) + Set(w.eps)", "Sqrt(v)", "eps left out"),
    (BODY, "Sqrt(v) + Set(w.eps)", "v + Set(w.eps)", "the root left out"),
    (BODY, "Set(w.correction) * m", "m", "correction left out"),
    (BODY, "Set(w.correction) * m", "Set(w.correction) * g", "the gradient instead of its average"),
    (BODY, "    Store(next_second + i, v, lanes);\n", "", "the second moment is not stored"),
    (CHECKS, "betas[3] * f * f", "betas[3] * f", "the factor is not squared"),
    (CHECKS, "betas[1] * f,", "betas[1],", "the factor is left out of the first moment"),
    (CHECKS, "= factors[part]", "= factors[0]", "the first part's factor for all"),
    (CHECKS, "i < 4", "i < 3", "the last beta is not checked"),
    (CHECKS, " && thor::IsFiniteNotNegative(eps)", "", "eps is not checked"),
    (CHECKS, "!a.SameShape(0, 2) || ", "", "shape of the gradient is not checked"),
    (CHECKS, "a.Elements(4) != 4 || ", "", "number of betas is not checked"),
    ("kernels/common/lanes_avx2.h", "_mm256_sqrt_ps(a.high)", "a.high", "roots of half the lanes"),
    ("kernels/common/lanes_avx512.h", "_mm512_sqrt_ps(a.v)", "_mm512_rsqrt14_ps(a.v)", "the reciprocal of the root"),
    ("kernels/common/lanes_portable.h", "__builtin_sqrtf(Get(a, i))", "Get(a, i)", "portable code takes no root"),
]  # fmt: skip
