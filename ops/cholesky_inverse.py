"""The damped inverse of symmetric positive definite blocks as a MindSpore operator."""

from __future__ import annotations

from typing import Callable

import mindspore as ms
from mindspore import Tensor, nn, ops

from bert_thor.kernels.cholesky_inverse.tiling import MAX_EDGE, MIN_EDGE
from bert_thor.ops._backend import choose
from bert_thor.ops._custom import cpu
from bert_thor.ops._registration import tbe

CholeskyInverse = Callable[[Tensor, Tensor], "tuple[Tensor, Tensor]"]
STATUS_ITEMS = 8  # int32 numbers in the 32 bytes that a core of Ascend 910 writes at least


def cholesky_inverse() -> CholeskyInverse:
    """The operator (c, damping) -> (inverse, status) with inverse = (c + damping I)^-1 of every block.

    c [n, b, b] and damping [n] float32, of c only the upper triangle is read; inverse [n, b, b] float32, exactly
    symmetric; status [n] int32: 0, or k > 0 where the k-th pivot is not positive, or -1 where c, damping or the inverse
    is not finite. The inverse of a block with another status than 0 is all zeros: look at the status. It has no
    gradient. Graph mode and PyNative. Ascend 910: tbe for edges of 8 to 128; others are inverted on the host, but for edge 1.
    """
    backends: dict[str, Callable[[], CholeskyInverse]] = {"tbe": CholeskyInverseTbe, "cpu": cholesky_inverse_cpu}
    return backends[choose("cholesky_inverse", backends)]()


def cholesky_inverse_cpu() -> CholeskyInverse:
    """The kernel for CPUs."""
    operator: CholeskyInverse = cpu("cholesky_inverse", lambda c, damping: (c, damping), (ms.float32, ms.int32))
    return operator


class CholeskyInverseTbe(nn.Cell):
    """The TIK kernel, which writes every status eight times, for the edges that it takes."""

    def __init__(self) -> None:
        super().__init__()
        self.reciprocals, self.host = Reciprocals(), cholesky_inverse_cpu()
        self.operator = tbe(
            "cholesky_inverse", lambda c, damping: (c, (damping[0], STATUS_ITEMS)), (ms.float32, ms.int32)
        )

    def construct(self, c: Tensor, damping: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inverses and one status per block."""
        edge = c.shape[1]
        if edge == 1:
            return self.reciprocals(c, damping)
        if edge < MIN_EDGE or edge > MAX_EDGE:
            return self.host(c, damping)
        inverse, status = self.operator(c, damping)
        return inverse, status[:, 0]


class Reciprocals(nn.Cell):
    """Blocks of edge 1, the counts of a table's rows, by MindSpore's own operators."""

    def construct(self, c: Tensor, damping: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inverses and one status per block."""
        damped = c.reshape(-1) + damping
        inverse = 1.0 / damped
        finite = ops.logical_and(ops.isfinite(damped), ops.logical_or(ops.isfinite(inverse), damped <= 0.0))
        status = (damped <= 0.0).astype(ms.int32)
        status = ops.select(finite, status, ops.zeros_like(status) - 1)
        inverse = ops.select(ops.equal(status, 0), inverse, ops.zeros_like(inverse))
        return inverse.reshape(c.shape), status
