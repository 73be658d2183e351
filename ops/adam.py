"""Adam as MindSpore operators that keep the moments in parameters."""

from __future__ import annotations

from typing import Any, Callable

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from bert_thor.kernels.adam.reference import LARGEST
from bert_thor.ops._backend import choose
from bert_thor.ops._custom import CpuCell, cpu_in_place
from bert_thor.ops.scaled_parts import scaled_parts

Adam = Callable[[Any, Any, Tensor, Tensor, Tensor, Tensor], Tensor]
AdamUpdate = Callable[[Any, Any, Any, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def adam(beta1: float, beta2: float) -> Adam:
    """The operator (first, second, gradient, factors, correction, eps) -> direction.

    first becomes m = beta1 first + (1 - beta1) f g, second becomes v = beta2 second + (1 - beta2) (f g)^2, and direction =
    correction m / (sqrt(v) + eps); an element of f g beyond 2^63 in size counts as 2^63. `first` and `second` are parameters
    of the gradient's shape, factors [parts] has an f for each of that many equal parts of it, correction and eps have one
    element; all float32. It has no gradient. Graph mode and PyNative.
    """
    backends: dict[str, Callable[..., Adam]] = {"mindspore": AdamMindSpore, "cpu": AdamCpu}
    return backends[choose("adam", backends)](beta1, beta2)


def adam_update(beta1: float, beta2: float) -> AdamUpdate:
    """The operator (weight, first, second, gradient, factors, correction, eps, rate, decay) -> rate.

    The moments as with `adam`; weight, a parameter, becomes (1 - rate decay) weight - rate direction. rate and decay
    have one element; the result has one too and is there for others to depend on.
    """
    backends: dict[str, Callable[..., AdamUpdate]] = {"mindspore": AdamUpdateMindSpore, "cpu": AdamUpdateCpu}
    return backends[choose("adam", backends)](beta1, beta2)


def _betas(beta1: float, beta2: float) -> Tensor:
    return Tensor(np.array([beta1, 1.0 - beta1, beta2, 1.0 - beta2], np.float32))


class AdamCpu(CpuCell):
    """The kernel for CPUs."""

    def __init__(self, beta1: float, beta2: float) -> None:
        super().__init__()
        self.betas = _betas(beta1, beta2)
        self.operator = cpu_in_place("adam", lambda first, second, gradient, *_: gradient, ms.float32)

    def construct(
        self, first: Any, second: Any, gradient: Tensor, factors: Tensor, correction: Tensor, eps: Tensor
    ) -> Tensor:
        """Return the direction."""
        return self.operator(first, second, gradient, factors, self.betas, correction, eps)


class AdamUpdateCpu(CpuCell):
    """The kernel for CPUs that moves the weight too."""

    def __init__(self, beta1: float, beta2: float) -> None:
        super().__init__()
        self.betas = _betas(beta1, beta2)
        self.operator = cpu_in_place("adam_update", [1], ms.float32)

    def construct(
        self, weight: Any, first: Any, second: Any, gradient: Tensor, factors: Tensor, correction: Tensor, eps: Tensor,
        rate: Tensor, decay: Tensor
    ) -> Tensor:  # fmt: skip
        """Return the rate."""
        return self.operator(weight, first, second, gradient, factors, self.betas, correction, eps, rate, decay)


class AdamMindSpore(nn.Cell):
    """MindSpore's own operators."""

    def __init__(self, beta1: float, beta2: float) -> None:
        super().__init__()
        self.beta1, self.beta2 = beta1, beta2

    def construct(
        self, first: Any, second: Any, gradient: Tensor, factors: Tensor, correction: Tensor, eps: Tensor
    ) -> Tensor:
        """Return the direction."""
        g = scaled_parts(gradient, factors)
        g = ops.clamp(g, -LARGEST, LARGEST) - (g - g)  # NaN where g is not finite
        m = first * self.beta1 + g * (1.0 - self.beta1)
        v = second * self.beta2 + g * g * (1.0 - self.beta2)
        ops.assign(first, m)
        ops.assign(second, v)
        return correction * m / (ops.sqrt(v) + eps)


class AdamUpdateMindSpore(nn.Cell):
    """MindSpore's own operators that move the weight too."""

    def __init__(self, beta1: float, beta2: float) -> None:
        super().__init__()
        self.adam = AdamMindSpore(beta1, beta2)

    def construct(
        self, weight: Any, first: Any, second: Any, gradient: Tensor, factors: Tensor, correction: Tensor, eps: Tensor,
        rate: Tensor, decay: Tensor
    ) -> Tensor:  # fmt: skip
        """Return the rate."""
        direction = self.adam(first, second, gradient, factors, correction, eps)
        ops.assign(weight, weight * (1.0 - rate * decay) - rate * direction)
        return rate
