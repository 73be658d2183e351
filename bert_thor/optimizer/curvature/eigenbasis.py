"""SOAP's curvature: Shampoo's factors of one weight and their eigenbases, in which Adam runs.

The bases are refreshed on the host between steps: LAPACK's QR and eigenvectors are the cost, not the framework's operators.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mindspore import Parameter, Tensor, ops

from bert_thor.network.architecture import ParameterSpec
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.optimizer.curvature.curvature import Curvature, Curvatures, Moment
from bert_thor.optimizer.schedule import refreshes_at


class Eigenbasis(Curvature):
    """L ← β₂L + (1 − β₂)ggᵀ, R ← β₂R + (1 − β₂)gᵀg of a weight [groups, O, I], and orthogonal bases Qₗ, Qᵣ near their eigenvectors."""

    @classmethod
    def state_shapes(cls, spec: ParameterSpec, config: OptimizerConfig) -> dict[str, tuple[int, ...]]:
        """L, R, Qₗ, Qᵣ of every group."""
        outputs, inputs = spec.shape[0] // spec.groups, spec.shape[1]
        sizes = {"left": outputs, "right": inputs}
        return {f"{kind}_{side}": (spec.groups, n, n) for kind in ("factor", "basis") for side, n in sizes.items()}

    def __init__(self, spec: ParameterSpec, config: OptimizerConfig) -> None:
        super().__init__(auto_prefix=False)
        self.spec, self.decay = spec, config.beta2
        self.stacked = (spec.groups, spec.shape[0] // spec.groups, spec.shape[1])
        for kind, shape in self.state_shapes(spec, config).items():
            setattr(self, kind, Parameter(np.zeros(shape, np.float32), f"{kind}.{spec.name}", requires_grad=False))
        self.product = ops.BatchMatMul()
        self.product_t = ops.BatchMatMul(transpose_b=True)
        self.t_product = ops.BatchMatMul(transpose_a=True)

    def construct(self, x: Tensor) -> Tensor:
        """Return Qₗᵀ x Qᵣ, x in the bases."""
        return self.product(self.t_product(self.basis_left, x), self.basis_right)

    def out_of_basis(self, x: Tensor) -> Tensor:
        """Qₗ x Qᵣᵀ."""
        return self.product_t(self.product(self.basis_left, x), self.basis_right)

    def accumulate(self, g: Tensor) -> None:
        """L and R with this gradient."""
        ops.assign(self.factor_left, self.decay * self.factor_left + (1.0 - self.decay) * self.product_t(g, g))
        ops.assign(self.factor_right, self.decay * self.factor_right + (1.0 - self.decay) * self.t_product(g, g))

    def start(self, gradient: Tensor) -> None:
        """Before the first step: Q of each side are the eigenvectors of the first gradient's ggᵀ and gᵀg."""
        g = gradient.asnumpy().astype(np.float64).reshape(self.stacked)
        transposed = g.transpose(0, 2, 1)
        _set(self.basis_left, np.linalg.eigh(g @ transposed)[1])
        _set(self.basis_right, np.linalg.eigh(transposed @ g)[1])

    def refresh(self) -> None:
        """One step of orthogonal iteration for each side: Q ← qr(F Q)."""
        for factor, basis in ((self.factor_left, self.basis_left), (self.factor_right, self.basis_right)):
            products = factor.asnumpy() @ basis.asnumpy()
            _set(basis, np.stack([np.linalg.qr(product)[0] for product in products]))


class Eigenbases(Curvatures):
    """The bases of all weights. The first step only makes them: in a basis of this very gradient every sign would be noise."""

    layers: list[Eigenbasis]  # type: ignore[assignment]

    def refreshes(self, step: int) -> bool:
        """Before the first step only; the other refreshes need the step's own gradient in the factors."""
        return step == 0

    def moves(self, step: int) -> bool:
        """Not in the first step."""
        return step > 0

    def refresh(self, moment: Moment) -> None:
        """Start the bases from the first gradients."""
        for layer, gradient in zip(self.layers, moment.gradients):
            layer.start(gradient)

    def settle(self, step: int) -> bool:
        """Renew the bases from the factors that hold this step's gradient."""
        due = step > 0 and refreshes_at(step, self.config)
        if due:
            for layer in self.layers:
                layer.refresh()
        return due


def _set(basis: Any, value: Any) -> None:
    basis.set_data(Tensor(value.astype(np.float32)))
