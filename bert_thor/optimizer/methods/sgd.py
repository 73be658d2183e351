"""Heavy ball (Polyak, 1964)."""

from __future__ import annotations

from typing import Any

from mindspore import Tensor

from bert_thor.network.architecture import ParameterSpec
from bert_thor.ops.momentum import heavy_ball
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.optimizer.methods.method import Method, register
from bert_thor.optimizer.rule import Numbers, Registration, Rule, Shapes


class HeavyBallRule(Rule):
    """m ← βm + g; w ← w(1 − rate·decay) − rate·m."""

    label = "momentum"
    kernels = "momentum"

    @classmethod
    def state_shapes(cls, spec: ParameterSpec, config: OptimizerConfig) -> Shapes:
        """The average."""
        return {"momentum": spec.shape}

    def __init__(self, entry: Registration, config: OptimizerConfig) -> None:
        super().__init__(entry, config)
        self.heavy_ball = heavy_ball(config.momentum)

    def construct(self, gradient: Tensor, numbers: Numbers) -> Any:
        """Update from the gradient."""
        return self.apply(self.heavy_ball(self.momentum, gradient, numbers["scale"]), self.unscaled, numbers)


register(
    Method(
        defaults=OptimizerConfig(name="sgd", learning_rate=0.3, first_order_learning_rate=0.3, momentum=0.9),
        rules={"dense": HeavyBallRule},
        rest=HeavyBallRule,
    )
)
