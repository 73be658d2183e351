"""Seeded mistakes in residual_dropout_layer_norm that its tests must notice: (file, original, mutant, what it breaks)."""

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
        "ForEachDropoutVector(a.dropout, r * h, h, [=](int64_t j, auto lanes, Floats scale) {\n      const",
        "ForEachDropoutVector(a.dropout, 0, h, [=](int64_t j, auto lanes, Floats scale) {\n      const",
        "every row the same mask",
    ),
    (BODY, "NormalizeRows(a.norm, r, r + 1);", "NormalizeRows(a.norm, r, r);", "rows not normalised"),
    (BODY, "Load(dresidual + j, lanes) * scale", "Load(dresidual + j, lanes)", "mask forgotten in the gradient"),
    (
        BODY,
        "ForEachDropoutVector(a.dropout, r * h, h, [=](int64_t j, auto lanes, Floats scale) {\n        const",
        "ForEachDropoutVector(a.dropout, (r + 1) * h, h, [=](int64_t j, auto lanes, Floats scale) {\n        const",
        "mask of the next row in the gradient",
    ),
    (BODY, "Load(dbias + j, lanes) + d", "d", "dbias of the last row only"),
    (BODY, "Store(dbias + j, Set(0), lanes);", "", "dbias does not start at zero"),
    (BODY, "r < row + rows", "r < row + 1", "only the group's first row gets dx"),
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
