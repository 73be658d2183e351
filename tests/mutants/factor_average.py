"""Planted mistakes in factor_average that its tests must notice: (file, original, mutant, what it breaks)."""

BODY = "kernels/factor_average/body.h"
CHECKS = "kernels/factor_average/factor_average.cc"

MUTANTS = [
    (BODY, "Set(keep) * Load", "Load", "the old factor does not fade"),
    (BODY, "Set(fresh) * (Set(scale)", "(Set(scale)", "the new factor has weight 1"),
    (BODY, "(Set(scale) * Load(captured + i, lanes))", "Load(captured + i, lanes)", "no scale"),
    (BODY, "Set(keep) * Load(factor + i, lanes) + added", "MultiplyAdd(Set(keep), Load(factor + i, lanes), added)",
     "rounded once less where there is an FMA"),
    (CHECKS, "before > 0 ? keep : 0", "keep", "the first capture is not taken whole"),
    (CHECKS, "before > 0 ?", "before >= 0 ?", "zeros count as a factor"),
    (CHECKS, "std::isfinite(static_cast<float>(Trace(captured + q * size, edge, scale))) ? 0 : 1", "0",
     "blocks that are not finite are averaged"),
    (CHECKS, "static_cast<float>(Trace(captured + q * size, edge, scale))", "Trace(captured + q * size, edge, scale)",
     "a trace that is no float counts as finite"),
    (CHECKS, "edge, scale))) ?", "edge, 1))) ?", "overflow by the scale"),
    (CHECKS, "Trace(captured + q * size", "Trace(captured", "every block is as finite as the first"),
    (CHECKS, "before += Trace(factor + q * size", "before += Trace(factor", "only the first block's trace"),
    (CHECKS, "block[i * (edge + 1)]", "block[i * edge]", "a column instead of the diagonal"),
    (CHECKS, "    else if (next != factor)\n      std::copy_n(factor + i, count, next + i);\n", "",
     "a block that is left out is not written"),
    (CHECKS, "const int64_t i = q * size + first", "const int64_t i = q * size", "only the beginning of a block"),
    (CHECKS, "lost += left_out[q]", "lost = left_out[q]", "only the last block is counted"),
    (CHECKS, "after += Trace(next", "after = Trace(next", "the last block's trace"),
    (CHECKS, "after += Trace(next", "after += Trace(captured", "the trace of what was captured"),
    (CHECKS, " || keep > 1", "", "keep above 1 is let through"),
    (CHECKS, " || !thor::IsFiniteNotNegative(scale)", "", "scale is not checked"),
    (CHECKS, "a.Elements(2) != 1 || ", "", "number of keeps is not checked"),
    (CHECKS, " || a.Elements(4) != 2", "", "size of the summary is not checked"),
    (CHECKS, "a.Rank(0) != 3 || ", "", "rank is not checked"),
    (CHECKS, "if (a.Dim(0, 1) != a.Dim(0, 2)) return THOR_BAD_BLOCK;", "", "blocks may be oblong"),
]  # fmt: skip
