"""Planted mistakes in inverse_update that its tests must notice: (file, original, mutant, what it breaks)."""

BODY = "kernels/inverse_update/body.h"
CHECKS = "kernels/inverse_update/inverse_update.cc"

MUTANTS = [
    (BODY, "before + Absolute(Load(block + i * edge + j, lanes))", "before + Load(block + i * edge + j, lanes)",
     "sums without absolute values"),
    (BODY, "Set(0) - x", "x", "negative numbers stay negative"),
    (BODY, "i == 0 ? Set(0) : Load(sums + j, lanes)", "Load(sums + j, lanes)", "sums start from anything"),
    (BODY, "block + i * edge + j", "block + j", "the first row again and again"),
    (BODY, " || sums[j] != sums[j]", "", "NaN is overlooked"),
    (BODY, "if (sums[j] > largest", "if (sums[j] < largest", "not the largest sum"),
    (CHECKS, " + damping[q]", "", "damping is left out"),
    (CHECKS, "damping[q]) * norm1(candidate + i, edge, sums)", "damping[q])", "only the block's norm"),
    (CHECKS, "norm1(candidate + i, edge", "norm1(inverse + i, edge", "the old inverse's norm"),
    (CHECKS, "status[q] == 0 && ", "", "status is not looked at"),
    (CHECKS, " && condition[q] <= limit", "", "condition is not looked at"),
    (CHECKS, "condition[q] <= limit", "condition[q] < limit", "the limit itself is refused"),
    (CHECKS, "condition[q] <= limit", "!(condition[q] > limit)", "NaN is taken"),
    (CHECKS, "if (taken != next + i) std", "if (taken != inverse + i) std", "kept inverses are not written"),
    (CHECKS, "i = q * size", "i = 0", "every block is the first one"),
    (CHECKS, "if (!thor::IsFiniteNotNegative(limit)) return THOR_BAD_VALUE;", "", "limit is not checked"),
    (CHECKS, " || !a.SameShape(0, 3)", "", "shape of the candidates is not checked"),
    (CHECKS, "a.Elements(2) != blocks || ", "", "number of dampings is not checked"),
    (CHECKS, "a.Elements(4) != blocks || ", "", "number of statuses is not checked"),
    (CHECKS, "if (a.Elements(5) != 1) return THOR_BAD_SHAPE;", "", "number of limits is not checked"),
    (CHECKS, "if (a.Dim(0, 2) != edge) return THOR_BAD_BLOCK;", "", "blocks may be oblong"),
]  # fmt: skip
