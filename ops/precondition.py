"""The preconditioned gradient of a dense layer as a MindSpore operator."""

from __future__ import annotations

from typing import Any, Callable

import mindspore as ms
from mindspore import Tensor, nn, ops

from bert_thor.kernels.ascend.sizes import FRACTAL
from bert_thor.kernels.precondition.tiling import MAX_BLOCK
from bert_thor.ops._backend import choose
from bert_thor.ops._custom import cpu
from bert_thor.ops._registration import tbe

Precondition = Callable[[Tensor, Tensor, Tensor], Tensor]


def _shape(g_inverse: Any, gradient: Any, a_inverse: Any) -> Any:
    return gradient


def precondition() -> Precondition:
    """The operator (g_inverse, gradient, a_inverse) -> G^-1 dW A^-1 with packed block-diagonal inverses.

    gradient and result [outputs, inputs], g_inverse [ceil(outputs / bg), bg, bg] and a_inverse
    [ceil(inputs / ba), ba, ba], all float32; of a last block that reaches past its side only the leading part is used.
    It has no gradient. Graph mode and PyNative. On Ascend 910 (tbe) the factors are rounded to float16, each block scaled
    by a power of two; where the cube cannot take a block's edge (multiples of 16 up to 128), MindSpore's own products do.
    """
    backends: dict[str, Callable[[], Precondition]] = {
        "tbe": PreconditionTbe,
        "mindspore": PreconditionMindSpore,
        "cpu": precondition_cpu,
    }
    return backends[choose("precondition", backends)]()


def precondition_cpu() -> Precondition:
    """The kernel for CPUs."""
    operator: Precondition = cpu("precondition", _shape, ms.float32)
    return operator


class PreconditionTbe(nn.Cell):
    """The TIK kernel, for the blocks that it takes."""

    def __init__(self) -> None:
        super().__init__()
        self.operator, self.otherwise = tbe("precondition", _shape, ms.float32), PreconditionMindSpore()

    def construct(self, g_inverse: Tensor, gradient: Tensor, a_inverse: Tensor) -> Tensor:
        """Return the preconditioned gradient."""
        bg, ba = g_inverse.shape[1], a_inverse.shape[1]
        if bg % FRACTAL != 0 or ba % FRACTAL != 0 or bg > MAX_BLOCK or ba > MAX_BLOCK or gradient.shape[1] % 8 != 0:
            return self.otherwise(g_inverse, gradient, a_inverse)
        return self.operator(g_inverse, gradient, a_inverse)


class PreconditionMindSpore(nn.Cell):
    """MindSpore's own products, one side after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.product, self.product_t = ops.BatchMatMul(), ops.BatchMatMul(transpose_a=True)
        self.zeros = ops.Zeros()
        self.below, self.beside = ops.Concat(0), ops.Concat(1)

    def construct(self, g_inverse: Tensor, gradient: Tensor, a_inverse: Tensor) -> Tensor:
        """Return the preconditioned gradient."""
        outputs, inputs = gradient.shape
        rows, columns = g_inverse.shape[0] * g_inverse.shape[1], a_inverse.shape[0] * a_inverse.shape[1]
        x = gradient
        if rows > outputs:
            x = self.below((x, self.zeros((rows - outputs, inputs), ms.float32)))
        if columns > inputs:
            x = self.beside((x, self.zeros((rows, columns - inputs), ms.float32)))
        x = self.from_left(self.product, g_inverse, x)
        x = self.from_left(self.product_t, a_inverse, x.transpose(1, 0)).transpose(1, 0)
        return x[:outputs, :inputs]

    def from_left(self, product: Any, blocks: Tensor, x: Tensor) -> Tensor:
        """The block-diagonal matrix (transposed, if `product` says so) times x; blocks of edge 1 are a diagonal."""
        count, edge = blocks.shape[0], blocks.shape[1]
        if edge == 1:
            return blocks.reshape(count, 1) * x
        return product(blocks, x.reshape(count, edge, -1)).reshape(count * edge, -1)
