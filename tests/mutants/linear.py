"""Planted mistakes in linear that its tests must notice: (file, original, mutant, what it breaks)."""

BODY = "kernels/linear/body.h"
PAIRS = "kernels/linear/avx512_bf16.cc"
COMMON = "kernels/common/pairs.h"
CUT = "kernels/linear/implementation.h"
DISPATCH = "kernels/linear/linear.cc"

MUTANTS = [
    (BODY, "if (!kRound) return x;", "return x;", "the weight is not rounded to bfloat16"),
    (BODY, "  Transpose(square);\n", "", "a square is not transposed"),
    (BODY, "k + kStep <= depth", "k + kStep < depth + kStep", "the depth's tail is read as a whole square"),
    (BODY, "factor.data + begin * factor.stride + first", "factor.data + first", "always the first chunk of a transposed factor"),
    (BODY, "(first + j) * factor.stride + begin", "(first + j) * factor.stride", "always the first chunk of a factor"),
    (BODY, "Smaller(p.Chunk(), p.depth - begin)", "p.Chunk()", "the last chunk reaches past the depth"),
    (BODY, "p.Panels() * kLanes * (begin / Unit::kElements)", "p.rows * (begin / Unit::kElements)", "chunks overlap where rows are cut"),
    (BODY, "chunk.packed + first * chunk.rows", "chunk.packed", "every task packs over the first panels"),
    (BODY, "if (r >= rows) return;", "", "rows past the tail are stored"),
    (BODY, "columns >= (v + 1) * kLanes", "columns >= v * kLanes", "columns past the tail are stored"),
    (BODY, "    Clear(sum);\n", "", "sums are not cleared"),
    (BODY, "if (k > 0) AddPartial(before, sum);", "", "only the last stretch counts"),
    (BODY, "{left.data + k * left.depth, left.row, left.depth}", "left", "every stretch reads the first rows of the left panel"),
    (BODY, "if (!chunk.first) AddPartial(partial, sum);", "", "only the last chunk counts"),
    (BODY, "PanelColumns(chunk.packed + row / kLanes * kLanes * chunk.rows, row % kLanes)",
     "PanelColumns(chunk.packed + row / kLanes * kLanes * chunk.rows, 0)", "the upper half of a panel counts twice"),
    (BODY, "partial += kTileRows * vectors() * kLanes;", "partial += kTileRows * kLanes;", "partial sums overlap"),
    (BODY, "column, columns}, row == first, scratch)", "column, columns}, false, scratch)",
     "the right factor is never packed"),
    (BODY, "p.KeepsRight() ? index * p.RightChunk() : 0", "0", "a later block meets the last chunk of the right factor"),
    (BODY, "task / p.RowTasks() * p.width", "task % p.RowTasks() * p.width", "columns of another task"),
    (COMMON, "_mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16)", "_mm512_slli_epi32(_mm512_cvtepu16_epi32(even), 16)",
     "a pair has its first element twice"),
    (PAIRS, "_mm512_cvtne2ps_pbh(high.v, low.v)", "_mm512_cvtne2ps_pbh(low.v, high.v)", "halves of a row swapped"),
    (PAIRS, "rows > 1 ? LoadBits(source + stride, lanes) : __m256i{}", "LoadBits(source + stride, lanes)",
     "an odd depth reads one row too many"),
    (CUT, "kStretch = 384", "kStretch = 4096", "long sums in one chain"),
    (DISPATCH, "{a.weight, a.inputs, true}, a.rows, a.inputs", "{a.weight, a.inputs, false}, a.rows, a.inputs", "dx = dy W^T"),
    (DISPATCH, "std::fill_n(product_.out, product_.rows * product_.columns, Out{});", "", "a sum over nothing is not written"),
    (DISPATCH, "!a.SameShape(2, 4)", "false", "shape of dw is not checked"),
    (DISPATCH, " || a.Dim(2, -1) != outputs", "", "width of y is not checked"),
    (
        BODY,
        "Store(partial + (r * kVectors + v) * kLanes, sum[r][v], All{});",
        "{ uint16_t bits[kLanes];"
        " Store(bits, sum[r][v], All{}); Store(partial + (r * kVectors + v) * kLanes, Load(bits, All{}), All{}); }",
        "sums are kept in bfloat16",
    ),
]  # fmt: skip
