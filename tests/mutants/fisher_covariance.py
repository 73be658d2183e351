"""Planted mistakes in fisher_covariance that its tests must notice: (file, original, mutant, what it breaks)."""

TILE = "kernels/common/tile.h"
BF16 = "kernels/fisher_covariance/avx512_bf16.cc"
COMMON = "kernels/common/pairs.h"
BODY = "kernels/fisher_covariance/body.h"
DISPATCH = "kernels/fisher_covariance/fisher_covariance.cc"

MUTANTS = [
    (BODY, "first ? sum[r][v] : Load(target, All{}) + sum[r][v]", "sum[r][v]", "only the last rows are summed"),
    (BODY, "k == 0, sums", "false, sums", "sums of the previous tile are kept"),
    (BODY, "1.0 / static_cast<double>(rows_of_x)", "1.0 / static_cast<double>(rows_of_x - 1)", "divided by N - 1"),
    (BODY, "if (IsFinite(tile, a.block, out)) return;", "return;", "sums that overflow are infinite"),
    (BODY, "if (*below - *below == 0) continue;", "", "small elements are lost beside one that overflows"),
    (BODY, "* Set(kFactor), All{})", ", All{})", "the second sum overflows too"),
    (BODY, "kFactor = 0x1p-96f", "kFactor = 0x1p-32f", "products overflow in the second sum"),
    (BODY, "* scale * (1 / factor)", "* scale", "the factor is not undone"),
    (
        BODY,
        "(static_cast<double>(factor) * static_cast<double>(rows_of_x))",
        "static_cast<double>(factor)",
        "a sum instead of a mean",
    ),
    (BODY, "      out[(tile.column + j) * block + tile.row + i] = *below;\n", "", "the mirror image stays infinite"),
    (BODY, "i < rows * RoundUp(columns, kLanes)", "i < rows * columns", "the last panel is not shrunk"),
    (BODY, "sums[i * kStride + j] * scale", "sums[i * kStride] * scale", "the first column for all"),
    (BODY, "if (tile.row == 0) StorePadding", "if (false) StorePadding", "padding is not written"),
    (BODY, "    int64_t i = 0;\n", "    int64_t i = j;\n", "rows below the diagonal are skipped"),
    (BODY, "rows, q * a.block + tile.row, tile.height", "rows, tile.row, tile.height", "every block is the first"),
    (
        BODY,
        "rows, q * a.block + tile.column, tile.width",
        "rows, q * a.block + tile.row, tile.width",
        "a tile's sides are both its rows",
    ),
    (BODY, "a.x + first * a.features + column, a.features", "a.x + column, a.features", "the first panel for all"),
    (
        BODY,
        "a.weighted.places[first + k] * a.features",
        "(first + k) * a.features",
        "other rows than those with a weight",
    ),
    (BODY, "a.weighted.roots[first + k]", "a.weighted.roots[k]", "weights of the first panel for all"),
    (BODY, "Load(source + j, lanes) * root", "Load(source + j, lanes)", "weights only leave rows out"),
    (BODY, "Load(source + j, lanes) * root", "Load(source + j, lanes) * root * root", "the weight is squared"),
    (
        BODY,
        "Smaller(kRows, a.summed - k)",
        "Smaller(kRows, a.rows - k)",
        "panels go on behind the last row with a weight",
    ),
    (
        BODY,
        "using InFloat32 = Weighted;",
        "using InFloat32 = Widened<T>;",
        "sums that overflow are repeated without weights",
    ),
    (
        BODY,
        "StoreTile(tile, a.rows, features",
        "StoreTile(tile, a.summed, features",
        "rows without weight do not count",
    ),
    (BODY, "ReplaceElements(tile, a.rows", "ReplaceElements(tile, a.summed", "the same where sums overflow"),
    (DISPATCH, "std::sqrt(weights[row])", "weights[row]", "no root is taken"),
    (DISPATCH, "weights[row] == 0", "!(weights[row] > 0)", "NaN and negative weights are left out"),
    (DISPATCH, "if (weights[row] == 0) continue;", "", "rows of weight 0 are read"),
    (DISPATCH, "if (kept.Count() == 0) {", "if (rows == 0) {", "without any weight nothing is written"),
    (DISPATCH, "arguments.Elements(1) != rows", "false", "the number of weights is not checked"),
    (BODY, "k += kRows)", "k += 2 * kRows)", "rows of the second half are not packed"),
    (TILE, "  Transpose(rows);\n", "", "mirror image is not transposed"),
    (TILE, "if (i == j) return;", "return;", "mirror image is not stored"),
    (TILE, "First{static_cast<int>(width)}", "All{}", "a short row is stored whole"),
    (BODY, "unit += i == j ? 1 : 2", "unit += 1", "tiles of cost two count one"),
    (BF16, "a.x + first * a.features", "a.x", "the first panel for all"),
    (BF16, "k + 1 < rows", "k < rows", "odd last row is paired with what follows"),
    (BF16, "(rows + 1) / 2", "rows / 2", "odd last row is dropped"),
    (COMMON, "_mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16)", "_mm512_cvtepu16_epi32(odd)", "bf16 pairs overlap"),
    (
        DISPATCH,
        "CeilDivide(CeilDivide(a->block, tiles), 16) * 16",
        "CeilDivide(a->block, tiles)",
        "tiles of any edge, which share register tiles",
    ),
    (DISPATCH, "blocks = CeilDivide(features, block)", "blocks = features / block", "last block is forgotten"),
    (DISPATCH, "std::fill_n(out, blocks * block * block, 0.0f);", "", "no rows leave the output as it is"),
    (DISPATCH, " || arguments.Dim(last, 0) != CeilDivide(features, block)", "", "block count is not checked"),
    (
        BODY,
        "Store(target, first ? sum[r][v] : Load(target, All{}) + sum[r][v], All{});",
        "uint16_t bits[kLanes];"
        " Store(bits, first ? sum[r][v] : Load(target, All{}) + sum[r][v], All{}); Store(target, Load(bits, All{}), All{});",
        "sums are kept in bfloat16",
    ),
]
