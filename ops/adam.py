"""Adam's direction as a MindSpore operator that keeps the moments in parameters."""

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
