"""SOAP (Vyas et al., 2025, arXiv 2409.11321): Adam in the eigenbasis of Shampoo's factors."""

from __future__ import annotations

from typing import Any

from mindspore import Tensor, ops

from bert_thor.network.architecture import ParameterSpec
from bert_thor.ops.scaled_parts import scaled_parts
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.optimizer.curvature.eigenbasis import Eigenbases, Eigenbasis
from bert_thor.optimizer.methods.adamw import AdamRule
from bert_thor.optimizer.methods.method import Method, register
from bert_thor.optimizer.rule import Numbers, Registration, Rule, Shapes


class SoapRule(Rule):
    """g' = Qₗᵀ g Qᵣ; m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g'²; w ← w(1 − rate·decay) − rate·Qₗ (m̂'/(√v̂ + ε)) Qᵣᵀ, m' = Qₗᵀ m Qᵣ.

    The bases are `Eigenbases`': refreshed between steps, before the first one by the first gradient's own eigenvectors.
    """

    label = "soap"
    has_curvature = True

    @classmethod
    def state_shapes(cls, spec: ParameterSpec, config: OptimizerConfig) -> Shapes:
        """Both moments; the second one lives in the basis."""
        return {"first_moment": spec.shape, "second_moment": spec.shape}

    @classmethod
    def flop(cls, spec: ParameterSpec) -> int:
        """Three changes of basis, 2·O·I·(O + I) each, and ggᵀ and gᵀg; what the bases take on the host is not in it."""
        outputs, inputs = spec.shape[0] // spec.groups, spec.shape[1]
        return spec.groups * 4 * 2 * outputs * inputs * (outputs + inputs)

    def __init__(self, entry: Registration, config: OptimizerConfig) -> None:
        super().__init__(entry, config)
        self.beta1, self.beta2, self.epsilon = config.beta1, config.beta2, config.epsilon
        self.shape = entry.spec.shape
        self.curvature = Eigenbasis(entry.spec, config)
        self.stacked = self.curvature.stacked

    def construct(self, gradient: Tensor, numbers: Numbers) -> Any:
        """Update from the gradient."""
        g = scaled_parts(gradient, numbers["scale"]).reshape(self.stacked)
        first = self.beta1 * self.first_moment.reshape(self.stacked) + (1.0 - self.beta1) * g
        rotated = self.curvature(g)
        second = self.beta2 * self.second_moment.reshape(self.stacked) + (1.0 - self.beta2) * rotated * rotated
        ops.assign(self.first_moment, first.reshape(self.shape))
        ops.assign(self.second_moment, second.reshape(self.shape))
        step = numbers["correction"] * self.curvature(first) / (ops.sqrt(second) + self.epsilon * numbers["root2"])
        direction = self.curvature.out_of_basis(step)
        self.curvature.accumulate(g)
        return self.apply(direction.reshape(self.shape), self.unscaled, numbers)


register(
    Method(
        defaults=OptimizerConfig(
            name="soap", learning_rate=4e-3, first_order_learning_rate=8e-3, beta1=0.95, beta2=0.95
        ),
        rules={"dense": SoapRule},
        rest=AdamRule,
        curvature=Eigenbasis,
        curvatures=Eigenbases,
    )
)
