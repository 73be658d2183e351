"""Planted mistakes in embedding that its tests must notice: (file, original, mutant, what it breaks)."""

ENTRY = "kernels/embedding/embedding.cc"
BODY = "kernels/embedding/body.h"

MUTANTS = [
    (ENTRY, "ids[r] >= vocabulary", "ids[r] > vocabulary", "id one past the end accepted"),
    (ENTRY, "if (ids[r] < 0 || ", "if (", "negative id accepted"),
    (BODY, "Load(sums + j, lanes) + Load(row + j, lanes)", "Load(row + j, lanes)", "only the last row of an id"),
    (ENTRY, "next[r] = first[ids[r]];", "next[r] = kNone;", "only the first row of an id in a bfloat16 gradient"),
    (
        ENTRY,
        "for (int64_t r = rows - 1; r >= 0; --r) {\n      next",
        "for (int64_t r = 0; r < rows; ++r) {\n      next",
        "rows of a bfloat16 gradient added backwards",
    ),
    (ENTRY, "      std::fill_n(sums, features, 0.0f);\n", "", "sums go on from the row before"),
    (ENTRY, "std::fill_n(target, features, uint16_t{0});", "", "rows without an id keep what was there"),
    (
        ENTRY,
        "if (a.Is(2, kF32) && !a.Is(0, kF32)) return THOR_BAD_DTYPE;",
        "",
        "float32 rows of a bfloat16 table accepted",
    ),
    (
        ENTRY,
        "std::fill_n(dtable + begin * features, (end - begin) * features, 0.0f);",
        "",
        "the table's gradient does not start at zero",
    ),
    (
        ENTRY,
        "if (ids[r] < begin || ids[r] >= end) continue;",
        "if (ids[r] < begin) continue;",
        "two threads add to one row",
    ),
    (
        ENTRY,
        "add(dy + r * features, features, dtable",
        "add(dy + ids[r] % rows * features, features, dtable",
        "wrong row of dy",
    ),
    (
        ENTRY,
        "for (int64_t r = 0; r < rows; ++r) {\n      if (ids",
        "for (int64_t r = rows - 1; r >= 0; --r) {\n      if (ids",
        "rows added backwards",
    ),
    (ENTRY, "y + r * features);", "y + r * features + (r == 0 && rows > 300));", "first row shifted"),
    (ENTRY, "a.Dim(2, 0) != rows || ", "", "result of another size accepted"),
    (ENTRY, "!a.SameShape(2, 3)", "false", "gradient of another size accepted"),
    (
        ENTRY,
        "(const float* row, float* target) { std::copy_n(row, features, target); }",
        "(const float* row, float* target) { std::copy_n(row, features - 1, target); }",
        "last feature not copied",
    ),
    (
        BODY,
        "Store(sums + j, Load(sums + j, lanes) + Load(row + j, lanes), lanes);",
        "uint16_t bits[kLanes];"
        " Store(bits, Load(sums + j, lanes) + Load(row + j, lanes), lanes); Store(sums + j, Load(bits, lanes), lanes);",
        "sums are kept in bfloat16",
    ),
]
