"""Seeded mistakes in precondition that its tests must notice: (file, original, mutant, what it breaks)."""

BODY = "kernels/precondition/body.h"
DISPATCH = "kernels/precondition/precondition.cc"

MUTANTS = [
    (BODY, "Smaller(a.g_block, a.outputs - block * a.g_block)", "a.g_block", "rows past the last output"),
    (BODY, "Smaller(a.a_block, a.inputs - column)", "a.a_block", "columns past the last input"),
    (BODY, "PackPanels(a.a_inverse + column * a.a_block", "PackPanels(a.a_inverse", "always the first block of A"),
    (BODY, "a.g_inverse + (block * a.g_block + first)", "a.g_inverse + (first)", "always the first block of G"),
    (BODY, "strip % a.StripsPerBlock() * a.kStripRows", "0", "always the first strip of a block"),
    (BODY, "strip / a.StripsPerBlock()", "strip % a.StripsPerBlock()", "strips follow each other in the wrong block"),
    (
        BODY,
        "a.gradient + block * a.g_block * a.inputs + column",
        "a.gradient + column",
        "gradient of the first output block",
    ),
    (
        BODY,
        "a.gradient + block * a.g_block * a.inputs + column",
        "a.gradient + block * a.g_block * a.inputs",
        "gradient of the first input block",
    ),
    (BODY, "* a.inputs + column, a.inputs}", "* a.inputs, a.inputs}", "stored in the first input block"),
    (
        BODY,
        "Multiply(g_strip, whole_rows, depth,",
        "Multiply(g_strip, whole_rows, depth - 1,",
        "last row of the left product is left out",
    ),
    (
        BODY,
        "Multiply(product, rows, columns, a_inverse, columns,",
        "Multiply(product, rows, columns - 1, a_inverse, columns,",
        "last column of the product is left out",
    ),
    (BODY, "if (r >= rows) return;", "", "rows past the tail are stored"),
    (BODY, "columns >= (v + 1) * kLanes", "columns >= v * kLanes", "columns past the tail are stored"),
    (BODY, "      Clear(sum);\n", "", "sums are not cleared"),
    (
        DISPATCH,
        "a.Dim(0, 0) != Arguments::Ceil(outputs, g_block) || a.Dim(2, 0) != Arguments::Ceil(inputs, a_block)",
        "false",
        "block counts are not checked",
    ),
    (DISPATCH, " || !a.SameShape(1, 3)", "", "shape of the output is not checked"),
]
