"""LAMB (You et al., 2020, arXiv 1904.00962)."""

from __future__ import annotations

from typing import Any

from mindspore import Tensor, ops

from bert_thor.ops.adam import adam
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.optimizer.methods.adamw import AdamRule
from bert_thor.optimizer.methods.method import Method, register
from bert_thor.optimizer.rule import TINY, Numbers, Registration, constants


class LambRule(AdamRule):
    """u = m̂/(√v̂ + ε) + decay·w with Adam's moments; w ← w − rate·(‖w‖/‖u‖)·u.

    The ratio is 1 where a norm is 0, and for norms and biases, which have no decay either.
    """

    label = "lamb"
    kernels = "adam, l2_norm"

    def __init__(self, entry: Registration, config: OptimizerConfig) -> None:
        super().__init__(entry, config)
        self.adam = adam(config.beta1, config.beta2)
        self.adapted = entry.decayed
        self.decay = constants(0.0)  # it is a part of u

    def construct(self, gradient: Tensor, numbers: Numbers) -> Any:
        """Update from the gradient."""
        epsilon = self.epsilon * numbers["root2"]  # beside √v instead of √v̂
        moments = (self.first_moment, self.second_moment)
        direction = self.adam(*moments, gradient, numbers["scale"], numbers["correction"], epsilon)
        if not self.adapted:
            return self.apply(direction, self.unscaled, numbers)
        direction = direction + self.weight_decay * self.weight
        return self.apply(direction, self.trust_ratio(direction), numbers)

    def trust_ratio(self, direction: Tensor) -> Tensor:
        """‖w‖/‖u‖ of each group, 1 where either is 0."""
        ours, theirs = self.norms(self.weight), self.norms(direction)
        ratio = ours / ops.maximum(theirs, TINY)
        return ops.select(ops.logical_and(ours > 0.0, theirs > 0.0), ratio, ops.ones_like(ratio))


register(
    Method(
        defaults=OptimizerConfig(name="lamb", learning_rate=1.4e-2, first_order_learning_rate=1.4e-2, epsilon=1e-6),
        rules={"dense": LambRule},
        rest=LambRule,
    )
)
