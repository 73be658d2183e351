"""Fisher covariance as a MindSpore operator: the Kronecker factors of a dense layer, packed."""

from __future__ import annotations

from typing import Any, Callable

import mindspore as ms
from mindspore import Tensor, nn, ops

from bert_thor.kernels.ascend.registration import Registration
from bert_thor.kernels.ascend.sizes import FRACTAL
from bert_thor.kernels.fisher_covariance import akg as akg_kernel
from bert_thor.kernels.fisher_covariance.tiling import MAX_BLOCK
from bert_thor.ops._backend import choose
from bert_thor.ops._custom import cpu, dtypes
from bert_thor.ops._registration import akg, tbe

TINY = 1e-30
"""Keeps the division by the largest element of zeros finite."""
HUGE, ROOT = 2.0**48, 2.0**64
"""2^30 squares of what is below the one, or of 2^79 divided by the other, add up to less than the largest float. The mean of
as many is no float where an element is larger."""


def fisher_covariance(block: int, weighted: bool = False) -> Callable[..., Tensor]:
    """The operator x -> diagonal blocks of x^T x / N for block edge `block`; with `weighted` (x, w) -> of x^T diag(w) x / N.

    x [..., d] float32, bfloat16 (cpu) or float16 (others), N being the product of its leading axes; w [...] float32, a number of 0
    or more for each row (the kernel for CPUs does not read rows of weight 0; a negative weight stands for NaN); the result is
    [ceil(d / block), block, block] float32, exactly symmetric, its rows and columns past d zero. It has no gradient. Graph
    mode and PyNative; `ValueError` for block < 1. On Ascend 910 (tbe, akg) x, or sqrt(w) x, is rounded to float16, the cube's type,
    scaled so that its largest element is near 1: the gradients of a mean over many tokens would be lost in float16 otherwise. Sums
    are float32 everywhere.
    """
    if block < 1:
        raise ValueError(f"fisher_covariance: block is {block}; pass a block edge of 1 or more.")
    backends: dict[str, Any] = {}
    if block % FRACTAL == 0 and block <= MAX_BLOCK:
        backends["tbe"] = FisherCovarianceTbe
    if block % FRACTAL == 0 and akg_kernel.MIN_AKG_BLOCK <= block <= akg_kernel.MAX_AKG_BLOCK:
        backends["akg"] = FisherCovarianceAkg
    backends.update({"mindspore": FisherCovarianceMindSpore, "cpu": fisher_covariance_cpu})
    backend = choose("fisher_covariance", backends)
    if backend == "cpu":
        return fisher_covariance_cpu(block, weighted)  # type: ignore[no-any-return]
    covariance = backends[backend](block)
    return Weighted(covariance) if weighted else covariance


def fisher_covariance_cpu(block: int, weighted: bool = False) -> Any:
    """The kernel for CPUs."""

    def shape(x: Any, *weights: Any) -> Any:
        return -(-x[-1] // block), block, block

    operator = cpu("fisher_covariance", shape, dtypes("fisher_covariance", 0, ms.float32))
    # Not for the kernel: the framework takes operators with equal attributes for one and would reuse the other's shape.
    operator.add_prim_attr("block", block)
    operator.add_prim_attr("weighted", weighted)
    return operator


class Weighted(nn.Cell):
    """The covariance of sqrt(w) x, in float32, where rows of weight 0 are zeros whatever x holds there.

    Every kernel that follows takes x in float32 or narrows it, so that the product is a part of a pass over x that there is anyway.
    """

    def __init__(self, covariance: nn.Cell) -> None:
        super().__init__()
        self.covariance = covariance

    def construct(self, x: Tensor, weights: Tensor) -> Tensor:
        """Return the packed blocks."""
        x, weights = x.astype(ms.float32), weights.astype(ms.float32).expand_dims(-1)
        rows = ops.select((weights == 0.0).broadcast_to(x.shape), ops.zeros_like(x), x * ops.sqrt(weights))
        return self.covariance(rows)


class Narrow(nn.Cell):
    """x in float16, scaled by a power of two to a largest element in [1, 2), and what undoes that in x^T x."""

    def construct(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (scaled x, 1 / scale^2)."""
        x = x.astype(ms.float32)
        exponent = ops.floor(ops.log2(ops.abs(x).max() + TINY))
        root = ops.pow(2.0, exponent)
        return ops.cast(x / root, ms.float16), root * root


class FisherCovarianceTbe(nn.Cell):
    """The TIK kernel."""

    def __init__(self, block: int) -> None:
        super().__init__()
        self.narrow = Narrow()
        self.operator = tbe("fisher_covariance", lambda x: (-(-x[-1] // block), block, block), ms.float32, block=block)

    def construct(self, x: Tensor) -> Tensor:
        """Return the packed blocks."""
        narrow, square = self.narrow(x)
        return self.operator(narrow) * square


@ops.constexpr
def _share_rows(rows: int, block: int) -> int:
    return akg_kernel.share_rows(rows, block)


class FisherCovarianceAkg(nn.Cell):
    """The AKG kernel: x is cut into fractals and shares here, and the mean over a block's shares is taken here."""

    def __init__(self, block: int) -> None:
        super().__init__()
        self.block, self.narrow = block, Narrow()
        self.zeros, self.mean, self.transpose = ops.Zeros(), ops.ReduceMean(), ops.Transpose()
        self.below, self.beside = ops.Concat(0), ops.Concat(1)
        formats = [["F16_Default", "F16_Default", "F32_Default"]]
        self.operator = akg(
            akg_kernel.fisher_covariance,
            Registration("FisherCovarianceShares", {}, formats, ["x", "same"], ["packed"]),
            lambda x, same: (x[0], x[1], FRACTAL, x[1], FRACTAL),
            ms.float32,
            lambda x, same: akg_kernel.dim(x[0], x[2] * FRACTAL, block),
        )

    def construct(self, x: Tensor) -> Tensor:
        """Return the packed blocks."""
        block, features = self.block, x.shape[-1]
        x, square = self.narrow(x.reshape((-1, features)))
        rows = x.shape[0]
        share_rows = _share_rows(rows, block)
        shares, blocks = -(-rows // share_rows), -(-features // block)
        if shares * share_rows > rows:
            x = self.below((x, self.zeros((shares * share_rows - rows, features), ms.float16)))
        if blocks * block > features:
            x = self.beside((x, self.zeros((shares * share_rows, blocks * block - features), ms.float16)))
        stripes, chunks = block // 16, share_rows // 16
        x = x.reshape((shares, chunks, 16, blocks, stripes, 16))
        x = self.transpose(x, (3, 0, 4, 1, 2, 5)).reshape((blocks * shares, stripes, chunks, 16, 16))
        packed = self.operator(x, x).reshape((blocks, shares, block, block))
        return self.mean(packed, 1) * (shares * share_rows / rows) * square


class FisherCovarianceMindSpore(nn.Cell):
    """MindSpore's own product of the blocks' columns, in float32.

    Columns with an element above `HUGE` are multiplied by 1 / `ROOT`, which takes no digit from them, and what comes out by `ROOT`: no sum
    leaves the range of float where the mean is inside it.
    """

    def __init__(self, block: int) -> None:
        super().__init__()
        self.block, self.zeros, self.beside = block, ops.Zeros(), ops.Concat(1)
        self.gram, self.largest = ops.BatchMatMul(transpose_a=True), ops.ReduceMax(keep_dims=True)

    def construct(self, x: Tensor) -> Tensor:
        """Return the packed blocks."""
        block, features = self.block, x.shape[-1]
        x = x.astype(ms.float32).reshape((-1, features))
        rows, blocks = x.shape[0], -(-features // block)
        if blocks * block > features:
            x = self.beside((x, self.zeros((rows, blocks * block - features), ms.float32)))
        x = x.reshape((rows, blocks, block)).transpose(1, 0, 2)
        root = (self.largest(ops.abs(x), 1) > HUGE).astype(ms.float32) * ROOT + 1.0  # 1, or ROOT to the last digit
        x = x / root
        packed = self.gram(x, x) * (0.5 / rows) * root * root.transpose(0, 2, 1)
        return packed + packed.transpose(0, 2, 1)
