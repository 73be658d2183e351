"""Averages of gradients as MindSpore operators that keep the average in a parameter."""

from __future__ import annotations

from typing import Any, Callable

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from bert_thor.ops._backend import choose
from bert_thor.ops._custom import CpuCell, cpu_in_place
from bert_thor.ops.scaled_parts import scaled_parts

Momentum = Callable[[Any, Tensor, Tensor], Tensor]


def nesterov_momentum(decay: float) -> Momentum:
    """The operator (average, x, factors) -> direction; average becomes decay average + (1 - decay) f x.

    direction = decay (the new average) + (1 - decay) f x. `average` is a parameter of x's shape, factors [parts] has an f
    for each of that many equal parts of x; all float32. It has no gradient. Graph mode and PyNative.
    """
    return _make("nesterov_momentum", decay, 1.0 - decay)


def heavy_ball(decay: float) -> Momentum:
    """The operator (average, x, factors) -> direction; average becomes decay average + f x, and so is direction.

    Otherwise as `nesterov_momentum`.
    """
    return _make("heavy_ball", decay)


def _make(rule: str, *settings: float) -> Momentum:
    backends: dict[str, Callable[..., Momentum]] = {"mindspore": MomentumMindSpore, "cpu": MomentumCpu}
    return backends[choose("momentum", backends)](rule, *settings)


class MomentumCpu(CpuCell):
    """The kernel for CPUs, which takes the numbers as a tensor."""

    def __init__(self, rule: str, *settings: float) -> None:
        super().__init__()
        self.settings = Tensor(np.array(settings, np.float32))
        self.operator = cpu_in_place(rule, lambda average, x, factors, settings: x, ms.float32)

    def construct(self, average: Any, x: Tensor, factors: Tensor) -> Tensor:
        """Return the direction."""
        return self.operator(average, x, factors, self.settings)


class MomentumMindSpore(nn.Cell):
    """MindSpore's own operators."""

    def __init__(self, rule: str, decay: float, fresh: float = 1.0) -> None:
        super().__init__()
        self.nesterov, self.decay, self.fresh = rule == "nesterov_momentum", decay, fresh

    def construct(self, average: Any, x: Tensor, factors: Tensor) -> Tensor:
        """Return the direction."""
        added = scaled_parts(x, factors) * self.fresh
        following = average * self.decay + added
        ops.assign(average, following)
        return following * self.decay + added if self.nesterov else following
