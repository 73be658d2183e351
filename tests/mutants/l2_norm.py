"""Planted mistakes in l2_norm that its tests must notice: (file, original, mutant, what it breaks)."""

BODY = "kernels/l2_norm/body.h"
SUMS = "kernels/l2_norm/l2_norm.cc"

MUTANTS = [
    (BODY, "value * value", "value", "elements are not squared"),
    (SUMS, "static_cast<float>(std::sqrt(sum))", "static_cast<float>(sum)", "no root"),
    (SUMS, "sum += sum_of_squares(x + i", "sum = sum_of_squares(x + i", "only the last piece"),
    (SUMS, "sum_of_squares(x + i", "sum_of_squares(x", "always the first piece"),
    (SUMS, "std::min(kPiece, n - i)", "kPiece", "past the end of a part"),
    (SUMS, "x + part * elements + first", "x + first", "always the first part"),
    (SUMS, "x + part * elements + first", "x + part * elements", "always the first task"),
    (SUMS, "sums[part * tasks + first / thor::kGrain] =", "sums[part * tasks] =", "tasks overwrite each other"),
    (SUMS, "sum += sums[part * tasks + task]", "sum += sums[task]", "the first part's sum for all"),
    (SUMS, "kPiece = 4096", "kPiece = 1 << 30", "squares are summed in float alone"),
    (SUMS, "double sum = 0;\n    for (int64_t task", "float sum = 0;\n    for (int64_t task",
     "tasks are added in float, which overflows"),
    (SUMS, "double SumOfPieces", "float SumOfPieces", "pieces are rounded to float, which overflows"),
    (SUMS, "if (!thor::FallsIntoParts(a, 0, 1)) return THOR_BAD_SHAPE;", "", "parts are not checked"),
    ("kernels/common/lanes.h", "s1 = s1 + term(j, First{", "s0 = s1 + term(j, First{", "the tail of a sum"),
]  # fmt: skip
