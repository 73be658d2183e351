"""The add-dropout-norm and its gradient in fp32: layer norm's programs, and what comes before and after."""

from __future__ import annotations

from functools import partial
from typing import Any

from bert_thor.kernels.ascend.norms import float32_programs as layer_norm
from bert_thor.kernels.ascend.norms.row_batches import two_sources
from bert_thor.kernels.ascend.norms.tiling import Tiling
from bert_thor.kernels.residual_dropout_layer_norm.mask import Mask

SINGLE = layer_norm.SINGLE


class Forward(layer_norm.Forward):
    """sum = residual + mask (x + bias) / (1 - probability); y = layer_norm(sum). Probability 0: without a mask."""

    def __init__(self, tiling: Tiling, eps: float, probability: float) -> None:
        super().__init__(tiling, eps)
        shape = (tiling.rows, tiling.features)
        self.bias = self.global_tensor("bias", (tiling.features,), SINGLE)
        self.residual, self.sum = (self.global_tensor(n, shape, SINGLE) for n in ("residual", "sum"))
        self.mask = Mask(self, probability) if probability else None
        self.inputs = [self.x, self.bias, self.residual, self.gamma, self.beta]
        self.inputs += [self.mask.bits] if self.mask else []
        self.outputs = [self.y, self.sum, self.mean, self.rstd]

    def core_program(self) -> None:
        """What each core does."""
        self.declare()
        self.walk(self.load, self.compute, sets=1)

    def declare(self) -> None:
        """Layer norm's tensors, of which `buffers` take x and the sum, and residual."""
        super().declare()
        self.local_bias = self.parameter(self.bias, "bias")
        self.local_residual = self.rows_aside("local_residual", SINGLE)
        if self.mask:
            self.mask.declare()
            self.local_mask = self.mask.local("local_mask")

    def load(self, which: int, start: Any, rows: Any) -> None:
        """x, residual and mask of a batch into UB."""
        self.load_rows(self.buffers[0], self.x, start, rows)
        self.load_rows(self.local_residual, self.residual, start, rows)
        if self.mask:
            self.mask.load(self.local_mask, start, rows)

    def prepare(self, which: int, start: Any, rows: Any, load_next: Any) -> tuple[Any, Any]:
        """The sum, which is to be normalised, and a batch to work in."""
        t, x, total, work = self.t, self.buffers[0], self.buffers[1], self.work
        self.per_column(t.vadd, work, x, self.local_bias)
        if self.mask:
            self.elementwise(t.vmuls, total, work, value=self.mask.scale)
            self.mask.factors(self.local_mask, x)
            self.elementwise(partial(two_sources, t.vmul), work, total, x)
        self.elementwise(partial(two_sources, t.vadd), total, work, self.local_residual)
        load_next()
        self.store_rows(self.sum, total, start, rows)
        return total, work


class Backward(layer_norm.Backward):
    """dresidual = gradient of layer_norm at the sum; dx = mask dresidual / (1 - probability); dbias sums dx over rows.

    Probability 0: dx is dresidual, and has no tensor of its own.
    """

    def __init__(self, tiling: Tiling, probability: float) -> None:
        super().__init__(tiling)
        self.dbias = self.global_tensor("dbias", (tiling.features,), SINGLE, True)
        self.mask = Mask(self, probability) if probability else None
        self.outputs = [self.dx, self.dbias, self.dgamma, self.dbeta]
        if self.mask:
            self.dresidual = self.global_tensor("dresidual", (tiling.rows, tiling.features), SINGLE)
            self.inputs += [self.mask.bits]
            self.outputs = [self.dx, self.dbias, self.dresidual, self.dgamma, self.dbeta]

    def declare(self) -> None:
        """Layer norm's tensors, the mask and the sums of dbias."""
        super().declare()
        self.total_dbias = self.column_sums("total_dbias", swapped=True)
        if self.mask:
            self.mask.declare()
            self.local_mask = self.mask.local("local_mask")

    def fetch(self, start: Any, rows: Any) -> None:
        """The mask of a batch."""
        if self.mask:
            self.mask.load(self.local_mask, start, rows)

    def hand_over(self, result: Any, start: Any, rows: Any) -> None:
        """dresidual and dx to global memory, dx to the sums of its columns."""
        dx, scaled, kept, _ = self.work
        if self.mask:
            self.store_rows(self.dresidual, result, start, rows)
            self.mask.factors(self.local_mask, kept)
            self.elementwise(self.t.vmuls, scaled, result, value=self.mask.scale)
            self.elementwise(partial(two_sources, self.t.vmul), dx, scaled, kept)
        else:
            dx = result
        self.add_down(self.total_dbias, dx)
        self.store_rows(self.dx, dx, start, rows)

    def store_column_sums(self, pairs: list[tuple[Any, list[Any]]]) -> None:
        """Those of layer norm, and dbias."""
        super().store_column_sums([*pairs, (self.dbias, self.total_dbias)])
