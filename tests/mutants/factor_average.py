"""Seeded mistakes in factor_average that its tests must notice: (file, original, mutant, what it breaks)."""

BODY = "kernels/factor_average/body.h"
CHECKS = "kernels/factor_average/factor_average.cc"

MUTANTS = [
    (BODY, "Set(keep) * Load", "Load", "the old factor does not fade"),
    (BODY, "Set(fresh) * (Set(scale)", "(Set(scale)", "the new factor has weight 1"),
    (BODY, "(Set(scale) * Load(captured + i, lanes))", "Load(captured + i, lanes)", "no scale"),
    (BODY, "Set(keep) * Load(factor + i, lanes) + added", "MultiplyAdd(Set(keep), Load(factor + i, lanes), added)",
     "rounded once less where there is an FMA"),
    (CHECKS, "HasTrace(p) ? keep : 0", "keep", "the first capture is not taken whole"),
    (CHECKS, "return trace > 0;", "return trace >= 0;", "zeros count as a factor"),
    (CHECKS, "IsFinite(p, q) ? 0 : 1", "0", "blocks that are not finite are averaged"),
    (CHECKS, "std::isfinite(p.scale * p.captured[i])", "std::isfinite(p.captured[i])", "overflow by the scale"),
    (CHECKS, "std::isfinite(p.scale * p.captured[i])", "p.captured[i] == p.captured[i]", "infinity is averaged"),
    (CHECKS, "i = q * p.edge * p.edge, left", "i = 0, left", "every diagonal is the first block's"),
    (CHECKS, "i += p.edge + 1", "i += p.edge", "a column instead of the diagonal"),
    (CHECKS, "sound ? keep * p.factor[i] + added : p.factor[i]", "keep * p.factor[i] + added",
     "the trace counts what is left out"),
    (CHECKS, "(1 - keep) * (p.scale", "(1 - p.keep) * (p.scale", "the first trace is that of an average"),
    (CHECKS, "    else if (next != factor)\n      std::copy_n(factor + i, count, next + i);\n", "",
     "a block that is left out is not written"),
    (CHECKS, "q * edge * edge + first", "q * edge * edge", "only the beginning of a block"),
    (CHECKS, "lost += left_out[q]", "lost = left_out[q]", "only the last block is counted"),
    (CHECKS, "trace += Trace(p, q", "trace = Trace(p, q", "the last block's trace"),
    (CHECKS, " || keep > 1", "", "keep above 1 is let through"),
    (CHECKS, " || !thor::IsFiniteNotNegative(scale)", "", "scale is not checked"),
    (CHECKS, "a.Elements(2) != 1 || ", "", "number of keeps is not checked"),
    (CHECKS, " || a.Elements(4) != 2", "", "size of the summary is not checked"),
    (CHECKS, "a.Rank(0) != 3 || ", "", "rank is not checked"),
    (CHECKS, "if (a.Dim(0, 1) != a.Dim(0, 2)) return THOR_BAD_BLOCK;", "", "blocks may be oblong"),
]  # fmt: skip
