"""Products with a weight as a MindSpore operator with its own gradient.

Letters: N rows, I input features, O output features.
"""

from __future__ import annotations

from typing import Any, Callable

import mindspore as ms
from mindspore import Tensor, nn, ops

Linear = Callable[[Tensor, Tensor], Tensor]
LinearGrad = Callable[[Tensor, Tensor, Tensor], "tuple[Tensor, Tensor]"]


def linear() -> Linear:
    """The operator (x_NI, weight_OI) -> y_NO = x Wᵀ; weight float32, y and x of one type: float32 or float16.

    Its gradient is `linear_grad`. Graph mode and PyNative.
    """
    return LinearMindSpore()


def linear_grad() -> LinearGrad:
    """The operator (dy_NO, x_NI, weight_OI) -> (dx_NI = dy W of x's type, dweight_OI = dyᵀ x float32)."""
    return LinearGradMindSpore()


class LinearMindSpore(nn.Cell):
    """MindSpore's own product; of float16 the weight is rounded to it."""

    def __init__(self) -> None:
        super().__init__()
        self.product, self.gradient = ops.MatMul(transpose_b=True), LinearGradMindSpore()

    def construct(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return x Wᵀ."""
        return self.product(x, weight.astype(x.dtype))

    def bprop(self, x: Tensor, weight: Tensor, out: Tensor, dout: Tensor) -> Any:
        """Return dx and dweight."""
        return self.gradient(dout, x, weight)


class LinearGradMindSpore(nn.Cell):
    """MindSpore's own products; of float16 the sums over the rows are rounded to it before they are float32."""

    def __init__(self) -> None:
        super().__init__()
        self.of_input, self.of_weight = ops.MatMul(), ops.MatMul(transpose_a=True)

    def construct(self, dy: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return dx and dweight."""
        return self.of_input(dy, weight.astype(dy.dtype)), self.of_weight(dy, x).astype(ms.float32)
