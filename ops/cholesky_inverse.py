"""The damped inverse of symmetric positive definite blocks as a MindSpore operator."""

from __future__ import annotations

from typing import Callable

import mindspore as ms
from mindspore import Tensor, nn

from bert_thor.ops._backend import choose
from bert_thor.ops._custom import aot
from bert_thor.ops._registration import tbe

CholeskyInverse = Callable[[Tensor, Tensor], "tuple[Tensor, Tensor]"]
STATUS_ITEMS = 8  # int32 numbers in the 32 bytes that a core of Ascend 910 writes at least


def cholesky_inverse() -> CholeskyInverse:
    """The operator (c, damping) -> (inverse, status) with inverse = (c + damping I)^-1 of every block.

    c [n, b, b] and damping [n] float32, of c only the upper triangle is read; inverse [n, b, b] float32, exactly
    symmetric; status [n] int32: 0, or k > 0 where the k-th pivot is not positive, or -1 where c, damping or the inverse
    is not finite. The inverse of a block with another status than 0 is all zeros: look at the status. It has no
    gradient. Graph mode and PyNative. Ascend 910: tbe.
    """
    backends: dict[str, Callable[[], CholeskyInverse]] = {"tbe": OnAscend, "aot": _compiled}
    return backends[choose("cholesky_inverse", backends)]()


def _compiled() -> CholeskyInverse:
    operator: CholeskyInverse = aot("cholesky_inverse", lambda c, damping: (c, damping), (ms.float32, ms.int32))
    return operator


class OnAscend(nn.Cell):
    """The TIK kernel, which writes every status eight times."""

    def __init__(self) -> None:
        super().__init__()
        self.operator = tbe(
            "cholesky_inverse", lambda c, damping: (c, (damping[0], STATUS_ITEMS)), (ms.float32, ms.int32)
        )

    def construct(self, c: Tensor, damping: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inverses and one status per block."""
        inverse, status = self.operator(c, damping)
        return inverse, status[:, 0]
