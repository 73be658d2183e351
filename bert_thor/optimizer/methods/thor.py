"""THOR, this project's own: Kronecker factors, momentum before preconditioning, directions of a fixed RMS."""

from __future__ import annotations

from typing import Any

from mindspore import Tensor

from bert_thor.network.architecture import ParameterSpec
from bert_thor.ops.momentum import nesterov_momentum
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.optimizer.curvature.kronecker import KroneckerCurvature
from bert_thor.optimizer.curvature.refresh import KroneckerCurvatures
from bert_thor.optimizer.methods.adamw import AdamRule
from bert_thor.optimizer.methods.method import Method, register
from bert_thor.optimizer.rule import Numbers, Registration, Rule, Shapes, layer_of


class ThorRule(Rule):
    """m ← μm + (1 − μ)g; u = G⁻¹(μm + (1 − μ)g)A⁻¹, each group scaled to RMS `update_rms`; w ← w(1 − rate·decay) − rate·u.

    Momentum comes before the curvature: old gradients are always seen through the newest one.
    """

    label = "kronecker"
    kernels = "fisher_covariance, cholesky_inverse, precondition"
    has_curvature = True

    @classmethod
    def state_shapes(cls, spec: ParameterSpec, config: OptimizerConfig) -> Shapes:
        """The average."""
        return {"momentum": spec.shape}

    def __init__(self, entry: Registration, config: OptimizerConfig) -> None:
        super().__init__(entry, config)
        self.nesterov = nesterov_momentum(config.momentum)
        self.curvature = KroneckerCurvature(entry.spec, layer_of(entry), config)

    def construct(self, gradient: Tensor, numbers: Numbers) -> Any:
        """Update from the gradient."""
        direction = self.curvature(self.nesterov(self.momentum, gradient, numbers["scale"]))
        return self.apply(direction, self.to_rms(direction), numbers)


register(
    Method(
        defaults=OptimizerConfig(),
        rules={"dense": ThorRule, "table": ThorRule},
        rest=AdamRule,
        curvature=KroneckerCurvature,
        curvatures=KroneckerCurvatures,
    )
)
