"""L2 norms of the parts of a tensor as a MindSpore operator."""

from __future__ import annotations

from typing import Callable

import mindspore as ms
from mindspore import Tensor, nn, ops

from bert_thor.ops._backend import choose
from bert_thor.ops._custom import cpu

L2Norm = Callable[[Tensor], Tensor]


def l2_norm(parts: int = 1) -> L2Norm:
    """The operator x -> [parts]: the L2 norm of each of that many equal parts of x, float32.

    It has no gradient. Graph mode and PyNative.
    """
    backends: dict[str, Callable[[int], L2Norm]] = {"mindspore": L2NormMindSpore, "cpu": l2_norm_cpu}
    return backends[choose("l2_norm", backends)](parts)


def l2_norm_cpu(parts: int) -> L2Norm:
    """The kernel for CPUs."""
    operator: L2Norm = cpu("l2_norm", [parts], ms.float32)
    return operator


class L2NormMindSpore(nn.Cell):
    """MindSpore's own operators."""

    def __init__(self, parts: int) -> None:
        super().__init__()
        self.parts = parts

    def construct(self, x: Tensor) -> Tensor:
        """Return the norms."""
        x = x.reshape(self.parts, -1)
        return ops.sqrt((x * x).sum(1))
