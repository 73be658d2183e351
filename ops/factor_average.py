"""A Fisher factor's average over time as a MindSpore operator that changes a parameter."""

from __future__ import annotations

from typing import Any, Callable

import mindspore as ms
from mindspore import Tensor, nn, ops

from bert_thor.ops._backend import choose
from bert_thor.ops._custom import cpu_in_place

FactorAverage = Callable[[Any, Tensor, Tensor, Tensor], Tensor]


def factor_average() -> FactorAverage:
    """The operator (factor, captured, keep, scale) -> summary; factor becomes keep factor + (1 - keep) scale captured.

    `factor` is a parameter [n, b, b], captured has its shape, keep and scale have one element; all float32. A block is left
    out where scale captured or its trace is not finite, and keep counts as 0 while factor has no trace. summary [2] is (tr factor
    afterwards, number of blocks left out). It has no gradient. Graph mode and PyNative.
    """
    backends: dict[str, Callable[[], FactorAverage]] = {"mindspore": FactorAverageMindSpore, "cpu": factor_average_cpu}
    return backends[choose("factor_average", backends)]()


def factor_average_cpu() -> FactorAverage:
    """The kernel for CPUs."""
    operator: FactorAverage = cpu_in_place("factor_average", [2], ms.float32)
    return operator


class FactorAverageMindSpore(nn.Cell):
    """MindSpore's own operators."""

    def construct(self, factor: Any, captured: Tensor, keep: Tensor, scale: Tensor) -> Tensor:
        """Return (trace, blocks left out)."""
        captured = captured * scale
        finite = ops.isfinite(captured).reshape(captured.shape[0], -1).all(1)
        sound = ops.logical_and(finite, ops.isfinite(self.diagonals(captured).sum(1)))
        chosen = ops.broadcast_to(sound.reshape(-1, 1, 1), captured.shape)
        keep = keep * (self.diagonals(factor).sum() > 0.0).astype(ms.float32)
        averaged = ops.select(chosen, keep * factor + (1.0 - keep) * captured, factor)
        ops.assign(factor, averaged)
        return ops.stack((self.diagonals(averaged).sum(), (1.0 - sound.astype(ms.float32)).sum()))

    def diagonals(self, blocks: Tensor) -> Tensor:
        """The diagonals [n, b] of blocks [n, b, b]."""
        count, edge = blocks.shape[0], blocks.shape[1]
        return blocks.reshape(count, edge * edge)[:, :: edge + 1]
