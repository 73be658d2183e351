"""Averages of gradients as MindSpore operators that keep the average in a parameter."""

from __future__ import annotations

import mindspore as ms
from mindspore import ops

from bert_thor.ops._custom import aot_in_place


def nesterov_momentum() -> ops.Custom:
    """The operator (average, x, factors, settings) -> direction; average becomes decay average + fresh f x.

    direction = decay (the new average) + fresh f x. `average` is a parameter of x's shape, factors [parts] has an f for
    each of that many equal parts of x, settings [2] = (decay, fresh); all float32. It has no gradient. Graph mode and
    PyNative.
    """
    return aot_in_place("nesterov_momentum", lambda average, x, factors, settings: x, ms.float32)


def heavy_ball() -> ops.Custom:
    """The operator (average, x, factors, decay) -> direction; average becomes decay average + f x, and so is direction.

    decay [1]; otherwise as `nesterov_momentum`.
    """
    return aot_in_place("heavy_ball", lambda average, x, factors, decay: x, ms.float32)
