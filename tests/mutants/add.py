"""Planted mistakes in add that its tests must notice: (file, original, mutant, what it breaks)."""

BODY = "kernels/add/body.h"
CHECKS = "kernels/add/add.cc"
ROWS = "kernels/common/row_chunks.h"

MUTANTS = [
    (BODY, "Load(a + i, lanes) + Load(b + i, lanes)", "Load(a + i, lanes)", "b left out"),
    (BODY, "Load(a + i, lanes) + Load(b + i, lanes)", "Load(a + i, lanes) - Load(b + i, lanes)", "a difference"),
    (BODY, "Load(b + i, lanes)", "Load(b, lanes)", "the first vector of b for all"),
    (BODY, "Store(y + i,", "Store(y,", "all in the first vector"),
    (BODY, "ForEachVector(n,", "ForEachVector(n / 16 * 16,", "the rest of the last vector is left out"),
    (CHECKS, "loop(a + begin, b + begin,", "loop(a + begin, b,", "every thread begins with the first of b"),
    (CHECKS, "loop(a + begin, b + begin,", "loop(a, b + begin,", "every thread begins with the first of a"),
    (CHECKS, "end - begin, y + begin", "end - begin, y", "every thread writes to the beginning"),
    (CHECKS, "end - begin, y + begin", "end, y + begin", "past the end of a thread's share"),
    (CHECKS, 'a.Is(0, "float32")', "true", "bfloat16 is read as float32"),
    (CHECKS, "if (!thor::CouldExist({n})) return THOR_BAD_SIZE;", "", "negative sizes are let through"),
    (CHECKS, "!a.SameShape(0, 1) || ", "", "shapes of the addends are not compared"),
    (CHECKS, " || !a.SameShape(0, 2)", "", "shape of the sum is not checked"),
    (CHECKS, "a.Check({stored, stored, stored})", 'a.Check({stored, "float32", stored})', "bfloat16 is refused"),
    (ROWS, "std::min(rows, end * grain)", "end * grain", "past the end"),
]  # fmt: skip
