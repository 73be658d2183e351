"""The add-dropout-norm and its gradient in fp16: layer norm's programs, and what comes before and after."""

from __future__ import annotations

from functools import partial
from typing import Any

from bert_thor.kernels.ascend.norms import float16_programs as layer_norm
from bert_thor.kernels.ascend.norms.row_batches import two_sources
from bert_thor.kernels.ascend.norms.tiling import Tiling
from bert_thor.kernels.residual_dropout_layer_norm.mask import Mask

HALF = layer_norm.HALF


class Forward(layer_norm.Forward):
    """sum = residual + mask (x + bias) / (1 - probability); y = layer_norm(sum). Probability 0: without a mask."""

    def __init__(self, tiling: Tiling, eps: float, probability: float) -> None:
        super().__init__(tiling, eps)
        shape = (tiling.rows, tiling.features)
        self.bias = self.global_tensor("bias", (tiling.features,), "float32")
        self.residual, self.sum = (self.global_tensor(n, shape, HALF) for n in ("residual", "sum"))
        self.mask = Mask(self, probability) if probability else None
        self.inputs = [self.x, self.bias, self.residual, self.gamma, self.beta]
        self.inputs += [self.mask.bits] if self.mask else []
        self.outputs = [self.y, self.sum, self.mean, self.rstd]

    def declare(self) -> None:
        """Layer norm's tensors, x and residual of one batch."""
        super().declare()
        self.local_bias = self.parameter(self.bias, "bias")
        self.local_x, self.scratch = (self.rows_tensor(n, HALF) for n in ("local_x", "scratch"))
        self.local_residual = self.rows_aside("local_residual", HALF)
        if self.mask:
            self.mask.declare()
            self.local_mask = self.mask.local("local_mask")

    def load(self, which: int, start: Any, rows: Any) -> None:
        """x, residual and mask of a batch into UB."""
        self.load_rows(self.local_x, self.x, start, rows)
        self.load_rows(self.local_residual, self.residual, start, rows)
        if self.mask:
            self.mask.load(self.local_mask, start, rows)

    def prepare(self, which: int, start: Any, rows: Any) -> None:
        """The sum, which is to be normalised."""
        t, total = self.t, self.given[which]
        self.per_column(t.vadd, self.scratch, self.local_x, self.local_bias)
        if self.mask:
            self.elementwise(t.vmuls, self.local_x, self.scratch, value=self.mask.scale)
            self.mask.drop(self.local_mask, self.scratch, self.local_x)
        self.elementwise(partial(two_sources, t.vadd), total, self.scratch, self.local_residual)
        super().prepare(which, start, rows)
        self.store_rows(self.sum, total, start, rows)


class Backward(layer_norm.Backward):
    """dresidual = gradient of layer_norm at the sum; dx = mask dresidual / (1 - probability); dbias sums dx over rows.

    Probability 0: dx is dresidual, and has no tensor of its own.
    """

    def __init__(self, tiling: Tiling, probability: float) -> None:
        super().__init__(tiling)
        self.dbias = self.global_tensor("dbias", (tiling.features,), "float32", True)
        self.mask = Mask(self, probability) if probability else None
        self.outputs = [self.dx, self.dbias, self.dgamma, self.dbeta]
        if self.mask:
            self.dresidual = self.global_tensor("dresidual", (tiling.rows, tiling.features), HALF)
            self.inputs += [self.mask.bits]
            self.outputs = [self.dx, self.dbias, self.dresidual, self.dgamma, self.dbeta]

    def declare(self) -> None:
        """Layer norm's tensors, dx, and the masks of two batches."""
        super().declare()
        self.columns_dbias = self.sums.column_totals("dbias")
        self.staged_dx = self.sums.staged("staged_dx")
        if self.mask:
            self.mask.declare()
            self.local_masks = [self.mask.local(f"local_mask_{i}") for i in (0, 1)]
            self.dropped = self.rows_tensor("dropped", HALF)

    def fetch(self, which: int, start: Any, rows: Any) -> None:
        """The mask of the batch whose gradient is about to be finished."""
        if self.mask:
            self.mask.load(self.local_masks[which], start, rows)

    def hand_over(self, which: int, result: Any, start: Any, rows: Any) -> None:
        """dresidual and dx to global memory, dx to the sums of its columns."""
        dx = result
        if self.mask:
            self.store_rows(self.dresidual, result, start, rows)
            dx = self.dropped
            self.elementwise(self.t.vmuls, self.scratch, result, value=self.mask.scale)
            self.mask.drop(self.local_masks[which], dx, self.scratch)
        self.sums.stage(self.staged_dx, dx)
        self.sums.add_columns(self.columns_dbias, self.staged_dx, self.identity)
        self.store_rows(self.dx, dx, start, rows)

    def store_column_sums(self) -> None:
        """Those of layer norm, and dbias."""
        super().store_column_sums()
        self.sums.store_columns(self.dbias, self.columns_dbias)
