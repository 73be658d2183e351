"""Muon (Jordan et al., 2024)."""

from __future__ import annotations

from typing import Any

from mindspore import Tensor, nn, ops

from bert_thor.network.architecture import ParameterSpec
from bert_thor.ops.momentum import nesterov_momentum
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.optimizer.methods.adamw import AdamRule
from bert_thor.optimizer.methods.method import Method, register
from bert_thor.optimizer.rule import Numbers, Registration, Rule, Shapes

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration."""
NEWTON_SCHULZ_STEPS = 5


class Orthogonal(nn.Cell):
    """The nearest orthogonal matrix by 5 Newton-Schulz steps, times 0.2·√max(O, I) (Liu et al., 2025).

    That factor gives the RMS that AdamW's steps have, so that rates and decay carry over.
    """

    def __init__(self, spec: ParameterSpec) -> None:
        super().__init__()
        outputs, inputs = spec.shape
        self.stacked = (spec.groups, outputs // spec.groups, inputs)
        self.shape = (outputs, inputs)
        self.tall = self.stacked[1] > self.stacked[2]
        self.scale = 0.2 * float(max(self.stacked[1:])) ** 0.5
        self.product = ops.BatchMatMul()
        self.gram = ops.BatchMatMul(transpose_b=True)

    def construct(self, gradient: Tensor) -> Tensor:
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


class MuonRule(Rule):
    """m ← βm + (1 − β)g; w ← w(1 − rate·decay) − rate·orthogonal(βm + (1 − β)g)."""

    label = "muon"

    @classmethod
    def state_shapes(cls, spec: ParameterSpec, config: OptimizerConfig) -> Shapes:
        """The average."""
        return {"momentum": spec.shape}

    @classmethod
    def flop(cls, spec: ParameterSpec) -> int:
        """Of each of the steps, with m the shorter side of a group and n the longer: xxᵀ and the last product 2m²n each, s² 2m³."""
        short, long = sorted((spec.shape[0] // spec.groups, spec.shape[1]))
        return spec.groups * NEWTON_SCHULZ_STEPS * (4 * short * short * long + 2 * short**3)

    def __init__(self, entry: Registration, config: OptimizerConfig) -> None:
        super().__init__(entry, config)
        self.nesterov = nesterov_momentum(config.momentum)
        self.orthogonal = Orthogonal(entry.spec)

    def construct(self, gradient: Tensor, numbers: Numbers) -> Any:
        """Update from the gradient."""
        direction = self.orthogonal(self.nesterov(self.momentum, gradient, numbers["scale"]))
        return self.apply(direction, self.unscaled, numbers)


register(
    Method(
        defaults=OptimizerConfig(name="muon", learning_rate=8e-3, first_order_learning_rate=8e-3),
        rules={"dense": MuonRule},
        rest=AdamRule,
    )
)
