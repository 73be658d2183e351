"""Planted mistakes in cholesky_inverse that its tests must notice: (file, original, mutant, what it breaks)."""

BODY = "kernels/cholesky_inverse/body.h"
DISPATCH = "kernels/cholesky_inverse/cholesky_inverse.cc"
TILE = "kernels/common/tile.h"

MUTANTS = [
    (BODY, "UnitRow(before) * Set(damping)", "UnitRow(before) * Set(0)", "damping is skipped"),
    (DISPATCH, "damping[q]", "damping[0]", "every block gets the first damping"),
    (DISPATCH, "invert(c + q * n * n", "invert(c", "every block is the first"),
    (BODY, "!(value[k] > 0 &&", "!(value[k] >= 0 &&", "a zero or NaN pivot passes"),
    (BODY, "return k + 1;", "return k;", "pivot is counted from 0"),
    (BODY, "static_cast<int32_t>(k) + failed", "failed", "pivot is counted in its tile"),
    (BODY, "if (!UpperIsFinite(u))", "if (false)", "input is not checked"),
    (BODY, " && value[k] < __builtin_inff()", "", "an infinite pivot passes"),
    (BODY, "if (i == column)", "if (false)", "overflow is not noticed"),
    (BODY, "if (status != 0) {", "if (false) {", "a failed block is stored, its input not checked"),
    (BODY, "if (status != 0) ForEachVector", "if (false) ForEachVector", "failed blocks are not cleared"),
    (BODY, "DropFirst(Load(diagonal, All{}), before)", "Load(diagonal, All{})", "lower triangle is read"),
    (BODY, "Store(diagonal, UnitRow(before), All{})", "Store(diagonal, Set(0), All{})", "padding is no identity"),
    (BODY, "    row += kLanes;\n", "", "first tile of a pair counts twice"),
    (BODY, "j = k + kLanes; j < u.n", "j = k + 2 * kLanes; j < u.n", "a tile of the factor is not solved"),
    (BODY, "j = 0; j <= k", "j = 0; j < k", "a tile of the inverse is not solved"),
    (BODY, "1.0f / __builtin_sqrtf(value[k])", "1.0f / value[k]", "scaled by the pivot, not by its root"),
    (
        BODY,
        "AddProduct<vectors()>(k, PanelColumns(u.At(0, k), i), u.At(0, j)",
        "AddProduct<vectors()>(k - kLanes, PanelColumns(u.At(kLanes, k), i), u.At(kLanes, j)",
        "factor starts one tile late",
    ),
    (BODY, "Set(0) - sum[r][v]", "sum[r][v]", "sign of the inverse's rows"),
    (TILE, "  Transpose(rows);\n", "", "mirror image is not transposed"),
    (TILE, "First{static_cast<int>(width)}", "All{}", "a short row is stored whole"),
    (DISPATCH, "a.Elements(1) != blocks || ", "", "damping may have any length"),
]
