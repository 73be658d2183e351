"""The update rules: cells that own a parameter's optimizer state and change the parameter in place.

Letters: O rows (outputs) and I columns (inputs) of a weight, S = (scale, rate, first_rate, correction, root2, root_damping, sequences):
scalars of the step, see `step.py`. A weight may be several tensors side by side along O (query, key, value); norms are taken of each, and
a factor may be given for each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from bert_thor.ops.adam import adam, adam_update
from bert_thor.ops.l2_norm import l2_norm
from bert_thor.ops.momentum import heavy_ball, nesterov_momentum
from bert_thor.ops.scaled_parts import scaled_parts
from bert_thor.ops.weight_update import weight_update
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.optimizer.directions import Diagonal, Kronecker, Orthogonal
from bert_thor.optimizer.registration import Registration

TINY = 1e-30
"""Keeps a division by the norm of an all-zero tensor finite."""

Scalars = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
Scaled = tuple[Tensor, Tensor]
"""A tensor and the factors [1] or [groups] that multiply it: the kernels apply them in passing."""


class Rule(nn.Cell):
    """What all rules share: which rate, clipping, decay, and the step of the weight."""

    def __init__(self, entry: Registration, config: OptimizerConfig) -> None:
        super().__init__(auto_prefix=False)
        self.weight = entry.parameter
        self.rate_index = 1 if entry.matrix else 2
        decay = config.weight_decay if entry.decayed else 0.0
        self.shrink = decay if config.decay == "decoupled" else 0.0
        self.l2 = decay if config.decay == "l2" else 0.0
        self.clip_norm = config.clip_norm
        self.clip_gradient = config.clip == "tensor" and config.clip_norm > 0
        self.clip_direction = config.clip == "direction" and config.clip_norm > 0
        self.unscaled = constants(1.0)
        self.decay = constants(self.shrink)
        self.norms = l2_norm(entry.groups)
        self.update = weight_update()

    def clipping(self, x: Tensor) -> Tensor:
        """Factors that bring each group's norm to at most `clip_norm`."""
        return self.clip_norm / ops.maximum(self.norms(x), self.clip_norm)

    def gradient_factors(self, gradient: Tensor, scalars: Scalars) -> Tensor:
        """What clipping multiplies the gradient by: `scale`, the global factor, or one for each tensor."""
        return self.clipping(gradient) if self.clip_gradient else scalars[0]

    def clipped_gradient(self, gradient: Tensor, scalars: Scalars) -> Tensor:
        """The gradient with that factor multiplied in; where the direction is clipped instead it is 1."""
        return gradient if self.clip_direction else scaled_parts(gradient, self.gradient_factors(gradient, scalars))

    def decayed(self, direction: Tensor, factors: Tensor) -> Scaled:
        """The direction with L2 decay, then clipped, as configured."""
        if self.l2 > 0.0:
            direction, factors = scaled_parts(direction, factors) + self.l2 * self.weight, self.unscaled
        if self.clip_direction:
            factors = self.clipping(direction)
        return direction, factors

    def apply(self, direction: Tensor, factors: Tensor, scalars: Scalars) -> Any:
        """w ← w(1 − rate·shrink) − rate·factor·direction."""
        return self.update(self.weight, direction, factors, scalars[self.rate_index], self.decay)


class MomentumRule(Rule):
    """Heavy ball (Polyak, 1964): m ← βm + g; w ← w − rate·m."""

    def __init__(self, entry: Registration, config: OptimizerConfig) -> None:
        super().__init__(entry, config)
        self.average = state("momentum", entry)
        self.heavy_ball = heavy_ball(config.momentum)

    def construct(self, gradient: Tensor, scalars: Scalars) -> Any:
        """Update from the gradient."""
        gradient, factors = self.decayed(gradient, self.gradient_factors(gradient, scalars))
        direction = self.heavy_ball(self.average, gradient, factors)
        return self.apply(direction, self.unscaled, scalars)


class PreconditionedRule(Rule):
    """w ← w(1 − rate·decay) − rate·u, with u a preconditioned average of gradients or an average of preconditioned gradients.

    before: m ← βm + (1 − β)g, u = P(βm + (1 − β)g): old gradients are always seen through the newest curvature.
    after: m ← βm + P(g), u = m. Then u is scaled to the RMS `update_rms`, each group by itself, unless that is 0.
    """

    def __init__(self, entry: Registration, config: OptimizerConfig, precondition: nn.Cell, update_rms: float) -> None:
        super().__init__(entry, config)
        self.first = config.momentum_order == "before"
        self.wanted_norm = update_rms * (float(np.prod(entry.parameter.shape)) / entry.groups) ** 0.5
        self.average = state("momentum", entry)
        self.nesterov, self.heavy_ball = nesterov_momentum(config.momentum), heavy_ball(config.momentum)
        self.precondition = precondition

    def construct(self, gradient: Tensor, scalars: Scalars) -> Any:
        """Update from the gradient."""
        direction = self.before(gradient, scalars) if self.first else self.after(gradient, scalars)
        return self.apply(direction, self.final_factors(direction), scalars)

    def before(self, gradient: Tensor, scalars: Scalars) -> Tensor:
        """Momentum, then curvature."""
        factors = self.gradient_factors(gradient, scalars)
        direction = self.precondition(self.nesterov(self.average, gradient, factors), scalars)
        return direction + self.l2 * self.weight if self.l2 > 0.0 else direction

    def after(self, gradient: Tensor, scalars: Scalars) -> Tensor:
        """Curvature, then momentum."""
        direction = self.precondition(self.clipped_gradient(gradient, scalars), scalars)
        direction, factors = self.decayed(direction, self.unscaled)
        return self.heavy_ball(self.average, direction, factors)

    def final_factors(self, direction: Tensor) -> Tensor:
        """What the direction is scaled by in the end: to the wanted RMS, or clipped where momentum has come before."""
        if self.wanted_norm > 0.0:
            return self.wanted_norm / (self.norms(direction) + TINY)
        return self.clipping(direction) if self.first and self.clip_direction else self.unscaled


class AdamRule(Rule):
    """Adam (Kingma & Ba, 2015) with decoupled decay (Loshchilov & Hutter, 2019)."""

    def __init__(self, entry: Registration, config: OptimizerConfig) -> None:
        super().__init__(entry, config)
        self.first_moment = state("first_moment", entry)
        self.second_moment = state("second_moment", entry)
        self.epsilon = constants(config.epsilon)
        self.adam_update = adam_update(config.beta1, config.beta2)

    def construct(self, gradient: Tensor, scalars: Scalars) -> Any:
        """w ← w(1 − rate·decay) − rate·√(1 − β₂ᵗ)/(1 − β₁ᵗ) · m/(√v + ε)."""
        gradient, factors = self.decayed(gradient, self.gradient_factors(gradient, scalars))
        tensors = (self.weight, self.first_moment, self.second_moment, gradient, factors)
        numbers = (scalars[3], self.epsilon, scalars[self.rate_index], self.decay)
        return self.adam_update(*tensors, *numbers)


class LambRule(AdamRule):
    """LAMB (You et al., 2020, arXiv 1904.00962): u = m̂/(√v̂ + ε) + decay·w; w ← w − rate·(‖w‖/‖u‖)·u.

    The ratio is 1 where a norm is 0, and for norms and biases, which have no decay either.
    """

    def __init__(self, entry: Registration, config: OptimizerConfig) -> None:
        super().__init__(entry, config)
        self.adam = adam(config.beta1, config.beta2)
        self.adapted = entry.decayed
        self.decay = constants(0.0)

    def construct(self, gradient: Tensor, scalars: Scalars) -> Any:
        """Update from the gradient."""
        epsilon = self.epsilon * scalars[4]  # beside √v instead of √v̂
        factors = self.gradient_factors(gradient, scalars)
        moments = (self.first_moment, self.second_moment)
        direction = self.adam(*moments, gradient, factors, scalars[3], epsilon)
        if not self.adapted:
            return self.apply(direction, self.unscaled, scalars)
        direction = direction + (self.shrink + self.l2) * self.weight
        return self.apply(direction, self.trust_ratio(direction), scalars)

    def trust_ratio(self, direction: Tensor) -> Tensor:
        """‖w‖/‖u‖ of each group, 1 where either is 0."""
        ours, theirs = self.norms(self.weight), self.norms(direction)
        ratio = ours / ops.maximum(theirs, TINY)
        return ops.select(ops.logical_and(ours > 0.0, theirs > 0.0), ratio, ops.ones_like(ratio))


class SoapRule(Rule):
    """SOAP (Vyas et al., 2025, arXiv 2409.11321): Adam in the eigenbasis of Shampoo's factors.

    g' = Qₗᵀ g Qᵣ; m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g'²; w ← w − rate·Qₗ (m̂'/(√v̂ + ε)) Qᵣᵀ with m' = Qₗᵀ m Qᵣ;
    L ← β₂L + (1 − β₂)ggᵀ, R ← β₂R + (1 − β₂)gᵀg. The bases are refreshed between steps (`soap.py`), before the first one by the
    first gradient's own eigenvectors.
    """

    def __init__(self, entry: Registration, config: OptimizerConfig) -> None:
        super().__init__(entry, config)
        self.beta1, self.beta2, self.epsilon = config.beta1, config.beta2, config.epsilon
        outputs, inputs = self.shape = entry.parameter.shape
        self.stacked = (entry.groups, outputs // entry.groups, inputs)
        self.first_moment = state("first_moment", entry)
        self.second_moment = state("second_moment", entry)
        sizes = {"left": self.stacked[1], "right": self.stacked[2]}
        self.left, self.right = (squares(f"factor_{side}", entry, size) for side, size in sizes.items())
        self.basis_left, self.basis_right = (squares(f"basis_{side}", entry, size) for side, size in sizes.items())
        self.product = ops.BatchMatMul()
        self.product_t = ops.BatchMatMul(transpose_b=True)
        self.t_product = ops.BatchMatMul(transpose_a=True)

    def construct(self, gradient: Tensor, scalars: Scalars) -> Any:
        """Update from the gradient."""
        g = self.clipped_gradient(gradient, scalars).reshape(self.stacked)
        first = self.beta1 * self.first_moment.reshape(self.stacked) + (1.0 - self.beta1) * g
        rotated = self.rotate(g)
        second = self.beta2 * self.second_moment.reshape(self.stacked) + (1.0 - self.beta2) * rotated * rotated
        ops.assign(self.first_moment, first.reshape(self.shape))
        ops.assign(self.second_moment, second.reshape(self.shape))
        direction = scalars[3] * self.rotate(first) / (ops.sqrt(second) + self.epsilon * scalars[4])
        direction = self.product_t(self.product(self.basis_left, direction), self.basis_right)
        self.accumulate(g)
        direction, factors = self.decayed(direction.reshape(self.shape), self.unscaled)
        return self.apply(direction, factors, scalars)

    def rotate(self, x: Tensor) -> Tensor:
        """Qₗᵀ x Qᵣ."""
        return self.product(self.t_product(self.basis_left, x), self.basis_right)

    def accumulate(self, g: Tensor) -> None:
        """Shampoo's factors with this gradient."""
        ops.assign(self.left, self.beta2 * self.left + (1.0 - self.beta2) * self.product_t(g, g))
        ops.assign(self.right, self.beta2 * self.right + (1.0 - self.beta2) * self.t_product(g, g))


def make_rule(entry: Registration, config: OptimizerConfig) -> Rule:
    """The cell for a registered parameter."""
    if entry.rule == "kronecker":
        return PreconditionedRule(entry, config, Kronecker(entry), config.update_rms)
    if entry.rule == "diagonal":
        return PreconditionedRule(entry, config, Diagonal(), config.update_rms)
    if entry.rule == "muon":
        return PreconditionedRule(entry, config, Orthogonal(entry), 0.0)
    simple = {"momentum": MomentumRule, "adam": AdamRule, "lamb": LambRule, "soap": SoapRule}
    return simple[entry.rule](entry, config)


def state(kind: str, entry: Registration) -> Parameter:
    """A zero tensor of the parameter's shape, named by its kind and the parameter."""
    zeros = np.zeros(entry.parameter.shape, np.float32)
    return Parameter(zeros, f"{kind}.{entry.parameter.name}", requires_grad=False)


def constants(*values: float) -> Tensor:
    """Numbers that a kernel takes as a tensor."""
    return Tensor(np.array(values, np.float32))


def squares(kind: str, entry: Registration, size: int) -> Any:
    """Zero matrices [groups, size, size]."""
    return Parameter(
        np.zeros((entry.groups, size, size), np.float32), f"{kind}.{entry.parameter.name}", requires_grad=False
    )
