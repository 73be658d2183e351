"""The product of a linear layer and its gradients as MindSpore operators.

Letters: N rows, I input features, O output features.
"""

from __future__ import annotations

from typing import Any, Callable

import mindspore as ms
from mindspore import Tensor, nn, ops

from bert_thor.ops._backend import choose
from bert_thor.ops._custom import SAME, cpu, dtypes

LinearGrad = Callable[[Tensor, Tensor, Tensor], "tuple[Tensor, Tensor]"]


class LinearProduct(nn.Cell):
    """(x, weight) -> x Wᵀ by `forward`, whose gradient is `gradient`: (dy, x, weight) -> (dx, dw)."""

    def __init__(self, forward: Any, gradient: LinearGrad) -> None:
        super().__init__(auto_prefix=False)
        self.forward, self.gradient = forward, gradient

    def construct(self, x_NI: Tensor, weight_OI: Tensor) -> Tensor:
        """Return x Wᵀ."""
        return self.forward(x_NI, weight_OI)

    def bprop(self, x_NI: Tensor, weight_OI: Tensor, out: Tensor, dout: Tensor) -> Any:
        """Return dx, dw."""
        return self.gradient(dout, x_NI, weight_OI)


def linear() -> LinearProduct:
    """The operator (x, weight) -> y = x Wᵀ; x [N, I] in float32, bfloat16 (cpu) or float16 (mindspore), weight [O, I] float32.

    y has the dtype of x, and in 16 bits the weight is rounded to it before it is multiplied; sums are float32. The gradient is
    `linear_grad`. Graph mode and PyNative.
    """
    backends: dict[str, Callable[[], Any]] = {"mindspore": LinearMindSpore, "cpu": linear_cpu}
    return LinearProduct(backends[choose("linear", backends)](), linear_grad())


def linear_grad() -> LinearGrad:
    """The operator (dy, x, weight) -> (dx, dw): dx [N, I] = dy W in the dtype of x and dy, dw [O, I] = dyᵀ x in float32.

    It has no gradient.
    """
    backends: dict[str, Callable[[], LinearGrad]] = {"mindspore": LinearGradMindSpore, "cpu": linear_grad_cpu}
    return backends[choose("linear", backends)]()


_forward = cpu("linear", lambda x, weight: [x[0], weight[0]], dtypes("linear", 0, SAME))
_gradient: LinearGrad = cpu(
    "linear_grad", lambda dy, x, weight: (x, weight), dtypes("linear_grad", 1, SAME, ms.float32)
)


def linear_cpu() -> Any:
    """The kernel for CPUs."""
    return _forward


def linear_grad_cpu() -> LinearGrad:
    """The gradient's kernel for CPUs."""
    return _gradient


class LinearMindSpore(nn.Cell):
    """MindSpore's own operator, in the dtype of x."""

    def __init__(self) -> None:
        super().__init__()
        self.product = ops.MatMul(transpose_b=True)

    def construct(self, x_NI: Tensor, weight_OI: Tensor) -> Tensor:
        """Return y."""
        return self.product(x_NI, weight_OI.astype(x_NI.dtype))


class LinearGradMindSpore(nn.Cell):
    """MindSpore's own operators, in the dtype of x."""

    def __init__(self) -> None:
        super().__init__()
        self.input_gradient, self.weight_gradient = ops.MatMul(), ops.MatMul(transpose_a=True)

    def construct(self, dy_NO: Tensor, x_NI: Tensor, weight_OI: Tensor) -> Any:
        """Return dx, dw."""
        dx_NI = self.input_gradient(dy_NO, weight_OI.astype(x_NI.dtype))
        return dx_NI, self.weight_gradient(dy_NO, x_NI).astype(ms.float32)
