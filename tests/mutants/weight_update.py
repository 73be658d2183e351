"""Planted mistakes in weight_update that its tests must notice: (file, original, mutant, what it breaks)."""

BODY = "kernels/weight_update/body.h"
CHECKS = "kernels/weight_update/weight_update.cc"

MUTANTS = [
    (BODY, "Load(weight + i, lanes) - moved", "Load(weight + i, lanes) + moved", "uphill"),
    (BODY, "Set(kept) * Load(weight", "Load(weight", "no decay"),
    (BODY, "Set(step) * Load(direction + i, lanes)", "Load(direction + i, lanes)", "a step of 1"),
    (CHECKS, "static_cast<double>(rate) * decay", "static_cast<double>(decay)", "decay is not multiplied by the rate"),
    (CHECKS, "1.0 - static_cast<double>(rate) * decay", "1.0 + static_cast<double>(rate) * decay", "weights grow"),
    (CHECKS, "rate * factors[part]", "rate * factors[0]", "the first part's factor for all"),
    (CHECKS, "rate * factors[part]", "factors[part]", "the rate is left out"),
    (CHECKS, "rate * factors[part]", "rate", "factors left out"),
    (CHECKS, "part * elements + first", "first", "every part is the first one"),
    (CHECKS, "!thor::IsFiniteNotNegative(rate) || ", "", "rate is not checked"),
    (CHECKS, " || !thor::IsFiniteNotNegative(decay)", "", "decay is not checked"),
    (CHECKS, "!a.SameShape(0, 1) || ", "", "shape of the direction is not checked"),
    (CHECKS, "a.Elements(3) != 1 || ", "", "number of rates is not checked"),
    (CHECKS, " || a.Elements(5) != 1", "", "size of the result is not checked"),
    (CHECKS, "if (status == THOR_OK) *a.Data<float>(5) = rate;", "*a.Data<float>(5) = rate;",
     "the result is written although the call fails"),
    (CHECKS, "if (status == THOR_OK) *a.Data<float>(5) = rate;", "", "the result is not written"),
    (
        BODY,
        "Store(next + i, Set(kept) * Load(weight + i, lanes) - moved, lanes);",
        "uint16_t bits[kLanes];"
        " Store(bits, Set(kept) * Load(weight + i, lanes) - moved, lanes); Store(next + i, Load(bits, lanes), lanes);",
        "the weight is kept in bfloat16",
    ),
]  # fmt: skip
