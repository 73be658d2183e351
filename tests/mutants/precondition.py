"""Planted mistakes in precondition that its tests must notice: (file, original, mutant, what it breaks)."""

BODY = "kernels/precondition/body.h"
DISPATCH = "kernels/precondition/precondition.cc"

MUTANTS = [
    (BODY, "Smaller(a.OutputEdge(), a.outputs - block)", "a.OutputEdge()", "rows past the last output"),
    (BODY, "Smaller(a.InputEdge(), a.inputs - column)", "a.InputEdge()", "columns past the last input"),
    (BODY, "PackPanels(a.a_inverse + s.column * a.a_block", "PackPanels(a.a_inverse", "always the first block of A"),
    (BODY, "a.g_inverse + (s.block + s.first)", "a.g_inverse + (s.first)", "always the first block of G"),
    (BODY, "strip % a.StripsPerBlock() * a.kStripRows", "0", "always the first strip of a block"),
    (BODY, "strip / a.StripsPerBlock()", "strip % a.StripsPerBlock()", "strips follow each other in the wrong block"),
    (
        BODY,
        "a.gradient + s.block * a.inputs + s.column",
        "a.gradient + s.column",
        "gradient of the first output block",
    ),
    (
        BODY,
        "a.gradient + s.block * a.inputs + s.column",
        "a.gradient + s.block * a.inputs",
        "gradient of the first input block",
    ),
    (
        BODY,
        "(s.block + s.first) * a.inputs + s.column",
        "(s.block + s.first) * a.inputs",
        "stored in the first input block",
    ),
    (
        BODY,
        "Multiply(g_strip, RoundUp(s.rows, kTileRows), s.depth,",
        "Multiply(g_strip, RoundUp(s.rows, kTileRows), s.depth - 1,",
        "last row of the left product is left out",
    ),
    (
        BODY,
        "Multiply(product, s.rows, s.columns, scratch,",
        "Multiply(product, s.rows, s.columns - 1, scratch,",
        "last column of the product is left out",
    ),
    (BODY, "Set(a.g_inverse[s.block + i])", "Set(a.g_inverse[i])", "always the first rows of a diagonal G"),
    (BODY, "factor * Load(row + j, lanes)", "factor + Load(row + j, lanes)", "rows are shifted, not scaled"),
    (
        BODY,
        "Load(a.a_inverse + s.column + j, lanes)",
        "Load(a.a_inverse + j, lanes)",
        "always the first columns of a diagonal A",
    ),
    (BODY, "i * product.stride + j, lanes) * factor", "i * product.stride + j, lanes)", "a diagonal A is left out"),
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
