"""Planted mistakes in momentum that its tests must notice: (file, original, mutant, what it breaks)."""

BODY = "kernels/momentum/body.h"
CHECKS = "kernels/momentum/momentum.cc"
PARTS = "kernels/common/parts.h"

MUTANTS = [
    (BODY, "MultiplyAdd(Set(decay), m, added)", "m", "no look ahead"),
    (BODY, "MultiplyAdd(Set(decay), m, added)", "m + added", "the look ahead is not decayed"),
    (BODY, "Load(average + i, lanes), added)", "Set(0), added)", "Nesterov forgets the average"),
    (BODY, "Set(decay), Load(average + i, lanes), added", "Set(1), Load(average + i, lanes), added",
     "Nesterov does not decay the average"),
    (BODY, "Set(decay), Load(average + i, lanes), Set(fresh)", "Set(fresh), Load(average + i, lanes), Set(decay)",
     "weights of the heavy ball swapped"),
    (BODY, "    Store(direction + i, m, lanes);\n", "", "the heavy ball gives no direction"),
    (BODY, "    Store(next + i, m, lanes);\n    Store(direction + i, MultiplyAdd",
     "    Store(direction + i, MultiplyAdd", "Nesterov's average is not stored"),
    (CHECKS, "p.fresh * p.factors[part]", "p.fresh * p.factors[0]", "the first part's factor for all"),
    (CHECKS, "p.fresh * p.factors[part]", "p.fresh", "factors left out"),
    (CHECKS, "part * p.elements + first", "first", "every part is the first one"),
    (CHECKS, "decay, 1.0f, next", "decay, 1.0f - decay, next", "the heavy ball is an average"),
    (CHECKS, "!thor::IsFiniteNotNegative(p.decay) || ", "", "decay is not checked"),
    (CHECKS, "a.SameShape(0, 4) && ", "", "shape of the direction is not checked"),
    (CHECKS, "a.Elements(3) == settings", "true", "number of settings is not checked"),
    (PARTS, "x >= 0 && ", "", "negative numbers are let through"),
    (PARTS, "std::min(kGrain, elements - first)", "kGrain", "past the end of a part"),
    (PARTS, "(elements + kGrain - 1) / kGrain", "elements / kGrain", "the rest of a part is left out"),
    (PARTS, "a.Elements(whole) % a.Elements(numbers) == 0", "true", "parts of different sizes are let through"),
]  # fmt: skip
