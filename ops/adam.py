"""Adam as MindSpore operators that keep the moments in parameters."""

from __future__ import annotations

from typing import Any

import mindspore as ms
from mindspore import ops

from bert_thor.ops._custom import aot_in_place


def _shape(first: Any, second: Any, gradient: Any, *_: Any) -> Any:
    return gradient


def adam() -> ops.Custom:
    """The operator (first, second, gradient, factors, betas, correction, eps) -> direction.

    first becomes m = beta1 first + (1 - beta1) f g, second becomes v = beta2 second + (1 - beta2) (f g)^2, and direction =
    correction m / (sqrt(v) + eps). `first` and `second` are parameters of the gradient's shape, factors [parts] has an f
    for each of that many equal parts of it, betas [4] = (beta1, 1 - beta1, beta2, 1 - beta2), correction and eps have
    one element; all float32. It has no gradient. Graph mode and PyNative.
    """
    return aot_in_place("adam", _shape, ms.float32)


def adam_update() -> ops.Custom:
    """The operator (weight, first, second, gradient, factors, betas, correction, eps, rate, decay) -> rate.

    The moments as with `adam`; weight, a parameter, becomes (1 - rate decay) weight - rate direction. rate and decay
    have one element; the result [1] is there for others to depend on.
    """
    return aot_in_place("adam_update", [1], ms.float32)
