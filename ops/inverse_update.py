"""New inverses take the place of old ones where they can be trusted: a MindSpore operator that changes a parameter."""

from __future__ import annotations

from typing import Any, Callable

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from bert_thor.ops._backend import choose
from bert_thor.ops._custom import CpuCell, cpu_in_place

InverseUpdate = Callable[[Any, Tensor, Tensor, Tensor, Tensor], Tensor]


def inverse_update(limit: float) -> InverseUpdate:
    """The operator (inverse, block, damping, candidate, status) -> condition; inverse becomes candidate where that is sound.

    `inverse` is a parameter [n, b, b]; block and candidate have its shape, damping [n], condition [n], all float32; status
    [n] int32 as `cholesky_inverse` gives it. condition = (|block|_1 + damping) |candidate|_1. Sound is a candidate whose
    status is 0 and whose condition is at most `limit`. It has no gradient. Graph mode and PyNative.
    """
    backends: dict[str, Callable[[float], InverseUpdate]] = {
        "mindspore": InverseUpdateMindSpore,
        "cpu": InverseUpdateCpu,
    }
    return backends[choose("inverse_update", backends)](limit)


class InverseUpdateCpu(CpuCell):
    """The kernel for CPUs, which takes the limit as a tensor."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = Tensor(np.array([limit], np.float32))
        self.operator = cpu_in_place(
            "inverse_update", lambda inverse, block, damping, candidate, status, limit: damping, ms.float32
        )

    def construct(self, inverse: Any, block: Tensor, damping: Tensor, candidate: Tensor, status: Tensor) -> Tensor:
        """Return the condition numbers."""
        return self.operator(inverse, block, damping, candidate, status, self.limit)


class InverseUpdateMindSpore(nn.Cell):
    """MindSpore's own operators."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit

    def construct(self, inverse: Any, block: Tensor, damping: Tensor, candidate: Tensor, status: Tensor) -> Tensor:
        """Return the condition numbers."""
        condition = (self.norm1(block) + damping) * self.norm1(candidate)
        sound = ops.logical_and(ops.equal(status, 0), condition <= self.limit)
        chosen = ops.broadcast_to(sound.reshape(-1, 1, 1), block.shape)
        ops.assign(inverse, ops.select(chosen, candidate, inverse))
        return condition

    def norm1(self, blocks: Tensor) -> Tensor:
        """Largest column sum of absolute values of each block, [n]."""
        return ops.amax(ops.abs(blocks).sum(1), 1)
