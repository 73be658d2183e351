"""Adam (Kingma & Ba, 2015) with decoupled decay (Loshchilov & Hutter, 2019)."""

from __future__ import annotations

from typing import Any

from mindspore import Tensor

from bert_thor.network.architecture import ParameterSpec
from bert_thor.ops.adam import adam_update
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.optimizer.methods.method import Method, register
from bert_thor.optimizer.rule import Numbers, Registration, Rule, Shapes, constants


class AdamRule(Rule):
    """m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²; w ← w(1 − rate·decay) − rate·√(1 − β₂ᵗ)/(1 − β₁ᵗ) · m/(√v + ε)."""

    label = "adam"
    kernels = "adam"

    @classmethod
    def state_shapes(cls, spec: ParameterSpec, config: OptimizerConfig) -> Shapes:
        """Both moments."""
        return {"first_moment": spec.shape, "second_moment": spec.shape}

    def __init__(self, entry: Registration, config: OptimizerConfig) -> None:
        super().__init__(entry, config)
        self.epsilon = constants(config.epsilon)
        self.adam_update = adam_update(config.beta1, config.beta2)

    def construct(self, gradient: Tensor, numbers: Numbers) -> Any:
        """Update from the gradient."""
        tensors = (self.weight, self.first_moment, self.second_moment, gradient, numbers["scale"])
        return self.adam_update(*tensors, numbers["correction"], self.epsilon, numbers[self.rate], self.decay)


register(
    Method(
        defaults=OptimizerConfig(
            name="adamw", learning_rate=1.4e-3, first_order_learning_rate=5.6e-3, warmup=0.1, weight_decay=0.01
        ),
        rules={"dense": AdamRule},
        rest=AdamRule,
    )
)
