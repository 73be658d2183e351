"""The step of the weights as a MindSpore operator that changes a parameter."""

from __future__ import annotations

from typing import Any, Callable

import mindspore as ms
from mindspore import Tensor, nn, ops

from bert_thor.ops._backend import choose
from bert_thor.ops._custom import cpu_in_place
from bert_thor.ops.scaled_parts import scaled_parts

WeightUpdate = Callable[[Any, Tensor, Tensor, Tensor, Tensor], Tensor]


def weight_update() -> WeightUpdate:
    """The operator (weight, direction, factors, rate, decay) -> rate; weight becomes (1 - rate decay) weight - rate f direction.

    `weight` is a parameter of the direction's shape, factors [parts] has an f for each of that many equal parts of it,
    rate and decay have one element; all float32. The result has one too and is there for others to depend on. It has no
    gradient. Graph mode and PyNative.
    """
    backends: dict[str, Callable[[], WeightUpdate]] = {"mindspore": WeightUpdateMindSpore, "cpu": weight_update_cpu}
    return backends[choose("weight_update", backends)]()


def weight_update_cpu() -> WeightUpdate:
    """The kernel for CPUs."""
    operator: WeightUpdate = cpu_in_place("weight_update", [1], ms.float32)
    return operator


class WeightUpdateMindSpore(nn.Cell):
    """MindSpore's own operators."""

    def construct(self, weight: Any, direction: Tensor, factors: Tensor, rate: Tensor, decay: Tensor) -> Tensor:
        """Return the rate."""
        ops.assign(weight, weight * (1.0 - rate * decay) - rate * scaled_parts(direction, factors))
        return rate
