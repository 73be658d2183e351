"""Planted mistakes in residual_dropout_layer_norm that its tests must notice: (file, original, mutant, what it breaks)."""

BODY = "kernels/residual_dropout_layer_norm/body.h"
ENTRY = "kernels/residual_dropout_layer_norm/residual_dropout_layer_norm.cc"

MUTANTS = [
    (ENTRY, "site, rows * features, dropout", "site, rows, dropout", "slices overlap"),
    (BODY, "Load(x + j, lanes) + Load(bias + j, lanes)", "Load(x + j, lanes)", "bias forgotten"),
    (
        BODY,
        "MultiplyAdd(term, scale, Load(residual + j, lanes))",
        "(term + Load(residual + j, lanes)) * scale",
        "residual dropped too",
    ),
    (BODY, "MultiplyAdd(term, scale, Load(residual + j, lanes))", "term * scale", "residual forgotten"),
    (
        BODY,
        "ForEachDropoutOutputVector(a.dropout, r * h,",
        "ForEachDropoutOutputVector(a.dropout, 0,",
        "every row the same mask",
    ),
    (BODY, "NormalizeRow(a.norm, r,", "NormalizeRow(a.norm, begin,", "rows not normalised"),
    (BODY, "stored * scale", "stored", "mask forgotten in the gradient"),
    (BODY, "RoundTo<T>(gradient(j, lanes))", "gradient(j, lanes)", "dx of a dresidual that was not rounded"),
    (
        BODY,
        " && UnalignedElements(dresidual) == UnalignedElements(dx)",
        "",
        "dresidual streamed to where dx is aligned",
    ),
    (
        BODY,
        "ForEachDropoutOutputVector(a.dropout, row * h,",
        "ForEachDropoutOutputVector(a.dropout, (row + 1) * h,",
        "mask of the next row in the gradient",
    ),
    (BODY, "Load(dbias + j, lanes) + d", "d", "dbias of the last row only"),
    (BODY, "Store(dbias + j, Set(0), lanes);", "", "dbias does not start at zero"),
    (
        BODY,
        "StoreOutput(dx + j, d, lanes);",
        "if (row == begin) StoreOutput(dx + j, d, lanes);",
        "only the first row gets dx",
    ),
    (ENTRY, "if (!(a.norm.eps >= 0)) return THOR_BAD_VALUE;", "", "bad eps accepted"),
    (ENTRY, "scalars[0], scalars[1]", "scalars[1], scalars[0]", "eps and probability swapped"),
    (ENTRY, "sums[] = {dbias, dgamma, dbeta}", "sums[] = {dgamma, dbias, dbeta}", "sums swapped"),
    (ENTRY, "if (rows == 0) return THOR_OK;", "if (rows <= 1) return THOR_OK;", "a single row skipped"),
    (
        "kernels/common/lanes_avx512.h",
        "{_mm512_fmadd_ps(a.v, b.v, c.v)}",
        "{_mm512_fmsub_ps(a.v, b.v, c.v)}",
        "sign of the residual",
    ),
]
