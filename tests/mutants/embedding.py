"""Planted mistakes in embedding that its tests must notice: (file, original, mutant, what it breaks)."""

ENTRY = "kernels/embedding/embedding.cc"

MUTANTS = [
    (ENTRY, "ids[r] >= vocabulary", "ids[r] > vocabulary", "id one past the end accepted"),
    (ENTRY, "if (ids[r] < 0 || ", "if (", "negative id accepted"),
    (ENTRY, "target[j] += source[j];", "target[j] = source[j];", "only the last row of an id"),
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
    (ENTRY, "dy + r * features;\n      float", "dy + ids[r] * features;\n      float", "wrong row of dy"),
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
        "std::copy_n(table + ids[r] * features, features,",
        "std::copy_n(table + ids[r] * features, features - 1,",
        "last feature not copied",
    ),
]
