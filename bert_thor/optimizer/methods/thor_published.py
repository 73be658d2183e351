"""The two published generations of BERT-THOR (Chen et al., AAAI 2021, and MindSpore's bert_thor), with every number of theirs.

What they share and `thor` does not do: momentum after preconditioning, L2 decay, clipping of each tensor (2020: of the gradient, 2021: of
the direction), diagonal curvature for layer normalisation, momentum without curvature for the rest.
"""

from __future__ import annotations

from typing import Any, ClassVar

from mindspore import Tensor, ops

from bert_thor.network.architecture import ParameterSpec
from bert_thor.ops.momentum import heavy_ball
from bert_thor.ops.scaled_parts import scaled_parts
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.optimizer.curvature.kronecker import KroneckerCurvature
from bert_thor.optimizer.curvature.refresh import KroneckerCurvatures
from bert_thor.optimizer.methods.method import Method, register
from bert_thor.optimizer.rule import Numbers, Registration, Rule, Shapes, constants, layer_of


class PublishedRule(Rule):
    """u = g + decay·w; m ← βm + u; w ← w − rate·m. The gradient (2020) or u (2021) is clipped, each group by itself."""

    label = "momentum"
    kernels = "momentum"
    clips_gradient: ClassVar[bool] = False

    @classmethod
    def state_shapes(cls, spec: ParameterSpec, config: OptimizerConfig) -> Shapes:
        """The average."""
        return {"momentum": spec.shape}

    def __init__(self, entry: Registration, config: OptimizerConfig) -> None:
        super().__init__(entry, config)
        self.decay = constants(0.0)  # it is a part of u
        self.matrix = entry.matrix
        self.clip_norm = config.clip_norm
        self.clip_gradient = self.clips_gradient and config.clip_norm > 0.0
        self.clip_direction = not self.clips_gradient and config.clip_norm > 0.0
        self.heavy_ball = heavy_ball(config.momentum)

    def construct(self, gradient: Tensor, numbers: Numbers) -> Any:
        """Update from the gradient."""
        factors = self.clipping(gradient) if self.clip_gradient else self.unscaled
        return self.step(gradient, factors, numbers)

    def step(self, direction: Tensor, factors: Tensor, numbers: Numbers) -> Any:
        """Decay, clipping of the direction, momentum, and the step of the weight."""
        if self.weight_decay > 0.0:
            direction, factors = scaled_parts(direction, factors) + self.weight_decay * self.weight, self.unscaled
        if self.clip_direction:
            factors = self.clipping(direction)
        direction = self.heavy_ball(self.momentum, direction, factors)
        return self.apply(direction, self.to_rms(direction) if self.matrix else self.unscaled, numbers)

    def clipping(self, x: Tensor) -> Tensor:
        """Factors that bring each group's norm to at most `clip_norm`."""
        return self.clip_norm / ops.maximum(self.norms(x), self.clip_norm)


class PreconditionedRule(PublishedRule):
    """The same with a preconditioned gradient in the place of g."""

    def construct(self, gradient: Tensor, numbers: Numbers) -> Any:
        """Update from the gradient."""
        if self.clip_gradient:
            gradient = scaled_parts(gradient, self.clipping(gradient))
        return self.step(self.precondition(gradient, numbers), self.unscaled, numbers)


class KroneckerRule(PreconditionedRule):
    """G⁻¹ g A⁻¹ of a dense layer or a table."""

    label = "kronecker"
    kernels = "fisher_covariance, cholesky_inverse, precondition"
    has_curvature = True

    def __init__(self, entry: Registration, config: OptimizerConfig) -> None:
        super().__init__(entry, config)
        self.curvature = KroneckerCurvature(entry.spec, layer_of(entry), config)

    def precondition(self, gradient: Tensor, numbers: Numbers) -> Tensor:
        """Return the preconditioned gradient."""
        return self.curvature(gradient)


class DiagonalRule(PreconditionedRule):
    """g / (g²/b + √λ) element by element, b the samples of a batch: the rule for layer normalisation, fresh every step."""

    label = "diagonal"
    kernels = "momentum"

    def precondition(self, gradient: Tensor, numbers: Numbers) -> Tensor:
        """Return the preconditioned gradient."""
        return gradient / (gradient * gradient / numbers["samples"] + numbers["root_damping"])


class Published2020Rule(PublishedRule):
    """Of the first generation."""

    clips_gradient = True


class Kronecker2020Rule(KroneckerRule):
    """Of the first generation."""

    clips_gradient = True


class Diagonal2020Rule(DiagonalRule):
    """Of the first generation."""

    clips_gradient = True


_BOTH = dict(
    learning_rate_end=1e-6,
    warmup=0.0,
    horizon=30_000,
    momentum=0.9,
    clip_norm=1.0,
    damping_end=1e-6,
    damping_rule="absolute",
    row_weights="none",
    factor_decay=0.0,
    refresh_interval=100,
    block=128,
    update_rms=0.0,
)
"""√λ on the diagonals, factors of one batch, 100 steps stale."""

register(
    Method(
        defaults=OptimizerConfig(
            name="thor-2020",
            learning_rate=3.1e-3,
            first_order_learning_rate=3.1e-3,
            learning_rate_power=1.0,
            damping=5e-2,
            damping_power=1.0,
            weight_decay=5e-4,
            first_order=("bias", "classifier", "transform_norm.*"),
            **_BOTH,  # type: ignore[arg-type]
        ),
        rules={"dense": Kronecker2020Rule, "table": Kronecker2020Rule, "norm": Diagonal2020Rule},
        rest=Published2020Rule,
        curvature=KroneckerCurvature,
        curvatures=KroneckerCurvatures,
    )
)
register(
    Method(
        defaults=OptimizerConfig(
            name="thor-2021",
            learning_rate=6.464e-3,
            first_order_learning_rate=6.464e-3,
            learning_rate_power=2.0,
            damping=7.035e-3,
            damping_power=4.0,
            weight_decay=0.0,
            first_order=("bias",),
            **_BOTH,  # type: ignore[arg-type]
        ),
        rules={"dense": KroneckerRule, "table": KroneckerRule, "norm": DiagonalRule},
        rest=PublishedRule,
        curvature=KroneckerCurvature,
        curvatures=KroneckerCurvatures,
    )
)
