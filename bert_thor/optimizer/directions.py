"""What a gradient is multiplied by: Kronecker-factored curvature, a diagonal one, or orthogonalisation.

Letters: O rows and I columns of a weight, n blocks of edge b.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from bert_thor.network.layers import FactoredTable
from bert_thor.ops.precondition import precondition
from bert_thor.optimizer.registration import Registration

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of Muon's quintic iteration (Jordan et al., 2024)."""
NEWTON_SCHULZ_STEPS = 5


class Kronecker(nn.Cell):
    """G⁻¹ dW A⁻¹ of a dense layer, A⁻¹ dE G⁻¹ of a table (whose rows are its inputs), on packed diagonal blocks.

    The inverses start as identities and are written by the refresh. A table's A is diagonal: blocks of edge 1.
    """

    def __init__(self, entry: Registration) -> None:
        super().__init__(auto_prefix=False)
        assert entry.layer is not None
        name = entry.parameter.name
        self.inverse_a = _identities(f"inverse_a.{name}", entry.layer.probe_a.shape)
        self.inverse_g = _identities(f"inverse_g.{name}", entry.layer.probe_g.shape)
        self.table = isinstance(entry.layer, FactoredTable)
        self.multiply = precondition()

    def construct(self, gradient: Tensor, scalars: Any) -> Tensor:
        """Return the preconditioned gradient [O, I]."""
        if self.table:
            return self.multiply(self.inverse_a, gradient, self.inverse_g)
        return self.multiply(self.inverse_g, gradient, self.inverse_a)


class Diagonal(nn.Cell):
    """g / (g²/b + √λ) element by element, b the sequences of a batch: the original's rule for layer normalisation, fresh every step."""

    def construct(self, gradient: Tensor, scalars: Any) -> Tensor:
        """Return the preconditioned gradient."""
        return gradient / (gradient * gradient / scalars[6] + scalars[5])


class Orthogonal(nn.Cell):
    """Muon (Jordan et al., 2024): the nearest orthogonal matrix by 5 Newton-Schulz steps, times 0.2·√max(O, I) (Liu et al., 2025).

    That factor gives the RMS that AdamW's steps have, so that rates and decay carry over.
    """

    def __init__(self, entry: Registration) -> None:
        super().__init__()
        outputs, inputs = entry.parameter.shape
        self.stacked = (entry.groups, outputs // entry.groups, inputs)
        self.shape = (outputs, inputs)
        self.tall = self.stacked[1] > self.stacked[2]
        self.scale = 0.2 * float(max(self.stacked[1:])) ** 0.5
        self.product = ops.BatchMatMul()
        self.gram = ops.BatchMatMul(transpose_b=True)

    def construct(self, gradient: Tensor, scalars: Any) -> Tensor:
        """Return the orthogonalised gradient [O, I]."""
        a, b, c = NEWTON_SCHULZ
        x = gradient.reshape(self.stacked)
        x = x.transpose(0, 2, 1) if self.tall else x
        x = x / (ops.sqrt((x * x).sum((1, 2), keepdims=True)) + 1e-7)
        for _ in range(NEWTON_SCHULZ_STEPS):
            s = self.gram(x, x)
            x = a * x + self.product(b * s + c * self.product(s, s), x)
        x = x.transpose(0, 2, 1) if self.tall else x
        return self.scale * x.reshape(self.shape)


def _identities(name: str, shape: Any) -> Parameter:
    eye = np.broadcast_to(np.eye(shape[1], dtype=np.float32), shape).copy()
    return Parameter(eye, name, requires_grad=False)
