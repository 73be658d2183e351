"""The step of the weights as a MindSpore operator that changes a parameter."""

from __future__ import annotations

import mindspore as ms
from mindspore import ops

from bert_thor.ops._custom import aot_in_place


def weight_update() -> ops.Custom:
    """The operator (weight, direction, factors, rate, decay) -> rate; weight becomes (1 - rate decay) weight - rate f direction.

    `weight` is a parameter of the direction's shape, factors [parts] has an f for each of that many equal parts of it,
    rate and decay have one element; all float32. The result [1] is there for others to depend on. It has no gradient.
    Graph mode and PyNative.
    """
    return aot_in_place("weight_update", [1], ms.float32)
