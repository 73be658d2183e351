"""Layer norm and its gradient for AKG: Ascend 910 through the polyhedral scheduler, the CPU through LLVM.

MindSpore hands each function to AKG as source text, cut out at `def`; AKG runs it alone with its own `tvm` put in. So each
is complete in itself and its annotations are strings. On Ascend a tile of rows (`dim`) is done at once by one core.

Numbers: all arithmetic is fp32, the variance is the corrected two-pass one: what x - mean still has in the mean, because fp32
rounded it, leaves x - mean before it is squared. A row whose squares leave the range of fp32 gives rstd 0 and y = beta. The
gradient is two kernels, since AKG does not lower sums over rows and over columns in one: dx, which also gives what xhat still has
in its mean, and dgamma, which takes it; dbeta is a plain sum of columns.
"""

from typing import Any

from bert_thor.kernels.ascend.norms.tiling import GROUP
from bert_thor.kernels.ascend.sizes import BLOCK_BYTES, CORES, ITEM_BYTES

tvm: "Any" = None  # AKG's own, put in before a function runs
MAX_TILE = 12 * 1024  # numbers of x in a tile; of 16 * 1024 the gradient's buffers do not fit UB


def layer_norm(x: "Any", gamma: "Any", beta: "Any", eps: "Any") -> "Any":
    """[y, mean, rstd] of x [rows, features] fp16 or fp32; gamma, beta [features], eps [1], mean, rstd [rows] fp32; y as x."""
    rows, features = x.shape
    share = tvm.const(1.0 / features.value, "float32")
    i, j, k = (tvm.reduce_axis((0, features), name=name) for name in "ijk")

    def rowwise(name: "Any", f: "Any") -> "Any":
        return tvm.compute((rows,), f, name=name)

    def elementwise(name: "Any", f: "Any") -> "Any":
        return tvm.compute((rows, features), f, name=name)

    wide = elementwise("wide", lambda r, c: x[r, c].astype("float32"))
    total = rowwise("total", lambda r: tvm.sum(wide[r, j], axis=j))
    center = rowwise("center", lambda r: total[r] * share)
    shifted_x = elementwise("shifted_x", lambda r, c: wide[r, c] - center[r])
    rest_sum = rowwise("rest_sum", lambda r: tvm.sum(shifted_x[r, i], axis=i))
    rest = rowwise("rest", lambda r: rest_sum[r] * share)
    mean = rowwise("mean_row", lambda r: center[r] + rest[r])
    centered = elementwise("centered", lambda r, c: shifted_x[r, c] - rest[r])
    square = elementwise("square", lambda r, c: centered[r, c] * centered[r, c])
    squares = rowwise("squares", lambda r: tvm.sum(square[r, k], axis=k))
    variance = rowwise("variance", lambda r: squares[r] * share + eps[0])
    deviation = rowwise("deviation", lambda r: tvm.sqrt(variance[r]))
    rstd = rowwise("rstd_row", lambda r: tvm.const(1.0, "float32") / deviation[r])
    xhat = elementwise("xhat", lambda r, c: centered[r, c] * rstd[r])
    scaled = elementwise("scaled", lambda r, c: xhat[r, c] * gamma[c])
    shifted = elementwise("shifted", lambda r, c: scaled[r, c] + beta[c])
    y = shifted if x.dtype == "float32" else elementwise("narrow", lambda r, c: shifted[r, c].astype(x.dtype))
    return [y, mean, rstd]


def layer_norm_grad(dy: "Any", x: "Any", gamma: "Any", mean: "Any", rstd: "Any") -> "Any":
    """[dx, mean_xhat] of `layer_norm`: rstd (g - mean(g) - xhat mean(g xhat)), g = dy gamma; dy, x, dx of one type, the others fp32.

    The xhat below is (x - mean) rstd with the mean as fp32 rounded it, c = mean_xhat [rows] its mean, exactly 0: xhat - c and
    mean(g xhat) - c mean(g) are meant.
    """
    rows, features = x.shape
    share = tvm.const(1.0 / features.value, "float32")
    i, j, k = (tvm.reduce_axis((0, features), name=name) for name in "ijk")

    def rowwise(name: "Any", f: "Any") -> "Any":
        return tvm.compute((rows,), f, name=name)

    def elementwise(name: "Any", f: "Any") -> "Any":
        return tvm.compute((rows, features), f, name=name)

    wide_x = elementwise("wide_x", lambda r, c: x[r, c].astype("float32"))
    wide_dy = elementwise("wide_dy", lambda r, c: dy[r, c].astype("float32"))
    centered = elementwise("centered", lambda r, c: wide_x[r, c] - mean[r])
    xhat = elementwise("xhat", lambda r, c: centered[r, c] * rstd[r])
    g = elementwise("g", lambda r, c: wide_dy[r, c] * gamma[c])
    product = elementwise("product", lambda r, c: g[r, c] * xhat[r, c])
    sum_g = rowwise("sum_g", lambda r: tvm.sum(g[r, j], axis=j))
    sum_product = rowwise("sum_product", lambda r: tvm.sum(product[r, k], axis=k))
    sum_xhat = rowwise("sum_xhat", lambda r: tvm.sum(xhat[r, i], axis=i))
    mean_g = rowwise("mean_g", lambda r: sum_g[r] * share)
    mean_xhat = rowwise("mean_xhat", lambda r: sum_xhat[r] * share)
    mean_product = rowwise("mean_product", lambda r: sum_product[r] * share)
    shared = rowwise("shared", lambda r: mean_xhat[r] * mean_g[r])
    slope = rowwise("slope", lambda r: mean_product[r] - shared[r])
    at_mean = rowwise("at_mean", lambda r: mean_xhat[r] * slope[r])
    level = rowwise("level", lambda r: mean_g[r] - at_mean[r])
    along_xhat = elementwise("along_xhat", lambda r, c: xhat[r, c] * slope[r])
    without_mean = elementwise("without_mean", lambda r, c: g[r, c] - level[r])
    rest = elementwise("rest", lambda r, c: without_mean[r, c] - along_xhat[r, c])
    dx = elementwise("dx_wide", lambda r, c: rest[r, c] * rstd[r])
    stored = dx if x.dtype == "float32" else elementwise("dx_narrow", lambda r, c: dx[r, c].astype(x.dtype))
    return [stored, mean_xhat]


def layer_norm_grad_gamma(dy: "Any", x: "Any", mean: "Any", rstd: "Any", mean_xhat: "Any") -> "Any":
    """Dgamma [features] fp32 of `layer_norm`: the sum of dy xhat over the rows; mean_xhat [rows] from `layer_norm_grad`."""
    rows, features = x.shape
    r = tvm.reduce_axis((0, rows), name="r")

    def elementwise(name: "Any", f: "Any") -> "Any":
        return tvm.compute((rows, features), f, name=name)

    wide_x = elementwise("wide_x", lambda r, c: x[r, c].astype("float32"))
    wide_dy = elementwise("wide_dy", lambda r, c: dy[r, c].astype("float32"))
    centered = elementwise("centered", lambda r, c: wide_x[r, c] - mean[r])
    xhat = elementwise("xhat", lambda r, c: centered[r, c] * rstd[r])
    without_mean = elementwise("without_mean", lambda r, c: xhat[r, c] - mean_xhat[r])
    product = elementwise("product", lambda r, c: wide_dy[r, c] * without_mean[r, c])
    return tvm.compute((features,), lambda c: tvm.sum(product[r, c], axis=r), name="dgamma")


def layer_norm_grad_beta(dy: "Any") -> "Any":
    """Dbeta [features] fp32 of `layer_norm`: the sum of dy over the rows."""
    rows, features = dy.shape
    r = tvm.reduce_axis((0, rows), name="r")
    wide = tvm.compute((rows, features), lambda r, c: dy[r, c].astype("float32"), name="wide")
    return tvm.compute((features,), lambda c: tvm.sum(wide[r, c], axis=r), name="dbeta")


def dim(rows: int, features: int, dtype: str) -> str:
    """AKG's tile for `layer_norm` and `layer_norm_grad`: as many rows as fit, in groups of 8, while there is work for all cores.

    Raises:
        ValueError: rows that are not a multiple of 8, or features that do not fill 32-byte blocks or are too many: AKG would
            read and write beyond them.
    """
    per_block = BLOCK_BYTES // ITEM_BYTES[dtype]
    most = MAX_TILE // GROUP // per_block * per_block
    if rows % GROUP or rows < 1 or features % per_block or not per_block <= features <= most:
        raise ValueError(
            f"layer_norm: x is [{rows}, {features}] {dtype}; AKG's kernel takes rows in multiples of {GROUP} and features in "
            f"multiples of {per_block} up to {most}."
        )
    groups = rows // GROUP
    fitting = [
        k for k in range(1, groups + 1) if groups % k == 0 and k * GROUP * features <= MAX_TILE and groups // k >= CORES
    ]
    tile = GROUP * max(fitting, default=1)
    return f"0 0 {tile} {tile}"
