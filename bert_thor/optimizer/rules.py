"""The update rules: cells that own a parameter's optimizer state and change the parameter in place.

Letters: O rows (outputs) and I columns (inputs) of a weight, S = (rate, first_rate, power1, power2, root_damping, sequences): scalars of
the step. A weight may be several tensors side by side along O (query, key, value); norms are taken of each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.optimizer.directions import Diagonal, Kronecker, Orthogonal
from bert_thor.optimizer.registration import Registration

TINY = 1e-30
"""Keeps a division by the norm of an all-zero tensor finite."""

Scalars = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


class Rule(nn.Cell):
    """What all rules share: which rate, weight decay, and clipping of the tensor's own gradient.

    `construct` returns what its last operator returns, for the caller to depend on: MindSpore 2.0 removes Adam and ApplyMomentum from a
    graph when nothing uses their results.
    """

    def __init__(self, entry: Registration, config: OptimizerConfig) -> None:
        super().__init__(auto_prefix=False)
        self.weight = entry.parameter
        self.shape = entry.parameter.shape
        self.groups = entry.groups
        self.rate_index = 0 if entry.matrix else 1
        decay = config.weight_decay if entry.decayed else 0.0
        self.shrink = decay if config.decay == "decoupled" else 0.0
        self.l2 = decay if config.decay == "l2" else 0.0
        self.clip_norm = config.clip_norm
        self.clip_gradient = config.clip == "tensor" and config.clip_norm > 0
        self.clip_direction = config.clip == "direction" and config.clip_norm > 0

    def norms(self, x: Tensor) -> Tensor:
        """L2 norm of each group, [groups, 1]."""
        grouped = x.reshape(self.groups, -1)
        return ops.sqrt((grouped * grouped).sum(1, keepdims=True))

    def scaled(self, x: Tensor, factor: Tensor) -> Tensor:
        """x with each group multiplied by its factor [groups, 1]."""
        return (x.reshape(self.groups, -1) * factor).reshape(self.shape)

    def clipped(self, x: Tensor) -> Tensor:
        """x with each group's norm at most `clip_norm`."""
        return self.scaled(x, self.clip_norm / ops.maximum(self.norms(x), self.clip_norm))

    def before(self, gradient: Tensor) -> Tensor:
        """The gradient as the rule takes it."""
        return self.clipped(gradient) if self.clip_gradient else gradient

    def decayed(self, direction: Tensor) -> Tensor:
        """The direction with L2 decay, then clipped, as configured."""
        if self.l2 > 0.0:
            direction = direction + self.l2 * self.weight
        return self.clipped(direction) if self.clip_direction else direction

    def apply(self, step: Tensor, rate: Tensor) -> Any:
        """w ← w(1 − rate·shrink) − step."""
        kept = self.weight * (1.0 - rate * self.shrink) if self.shrink > 0.0 else self.weight
        return ops.assign(self.weight, kept - step)


class MomentumRule(Rule):
    """Heavy ball by the framework's kernel (Polyak, 1964): m ← βm + g; w ← w − rate·m."""

    def __init__(self, entry: Registration, config: OptimizerConfig) -> None:
        super().__init__(entry, config)
        self.momentum = config.momentum
        self.average = state("momentum", entry)
        self.apply_momentum = ops.ApplyMomentum()

    def construct(self, gradient: Tensor, scalars: Scalars) -> Any:
        """Update from the gradient."""
        rate = scalars[self.rate_index]
        gradient = self.decayed(self.before(gradient))
        if self.shrink > 0.0:
            ops.assign(self.weight, self.weight * (1.0 - rate * self.shrink))
        return self.apply_momentum(self.weight, self.average, rate, gradient, self.momentum)


class PreconditionedRule(Rule):
    """w ← w(1 − rate·decay) − rate·u, with u a preconditioned average of gradients or an average of preconditioned gradients.

    before: m ← βm + (1 − β)g, u = P(βm + (1 − β)g): old gradients are always seen through the newest curvature.
    after: m ← βm + P(g), u = m. Then u is scaled to the RMS `update_rms`, each group by itself, unless that is 0.
    """

    def __init__(self, entry: Registration, config: OptimizerConfig, precondition: nn.Cell, update_rms: float) -> None:
        super().__init__(entry, config)
        self.momentum, self.update_rms = config.momentum, update_rms
        self.first = config.momentum_order == "before"
        self.elements = float(np.prod(entry.parameter.shape)) / entry.groups
        self.average = state("momentum", entry)
        self.precondition = precondition

    def construct(self, gradient: Tensor, scalars: Scalars) -> Any:
        """Update from the gradient."""
        rate = scalars[self.rate_index]
        direction = self.before(gradient)
        if self.first:
            direction = self.nesterov(direction)
        direction = self.decayed(self.precondition(direction, scalars))
        if not self.first:
            direction = self.heavy_ball(direction)
        if self.update_rms > 0.0:
            factor = self.update_rms * self.elements**0.5 / (self.norms(direction) + TINY)
            return self.apply(self.scaled(direction, rate * factor), rate)
        return self.apply(rate * direction, rate)

    def nesterov(self, gradient: Tensor) -> Tensor:
        """m ← βm + (1 − β)g; returns βm + (1 − β)g."""
        fresh = (1.0 - self.momentum) * gradient
        average = self.momentum * self.average + fresh
        ops.assign(self.average, average)
        return self.momentum * average + fresh

    def heavy_ball(self, direction: Tensor) -> Tensor:
        """m ← βm + direction; returns m."""
        average = self.momentum * self.average + direction
        ops.assign(self.average, average)
        return average


class AdamRule(Rule):
    """Adam (Kingma & Ba, 2015) by the framework's kernel, with decoupled decay (Loshchilov & Hutter, 2019)."""

    def __init__(self, entry: Registration, config: OptimizerConfig) -> None:
        super().__init__(entry, config)
        self.beta1, self.beta2, self.epsilon = config.beta1, config.beta2, config.epsilon
        self.first_moment = state("first_moment", entry)
        self.second_moment = state("second_moment", entry)
        self.adam = ops.Adam()

    def construct(self, gradient: Tensor, scalars: Scalars) -> Any:
        """w ← w(1 − rate·decay) − rate·√(1 − β₂ᵗ)/(1 − β₁ᵗ) · m/(√v + ε), the framework's form of the bias correction."""
        rate = scalars[self.rate_index]
        gradient = self.decayed(self.before(gradient))
        if self.shrink > 0.0:
            ops.assign(self.weight, self.weight * (1.0 - rate * self.shrink))
        moments = (self.first_moment, self.second_moment, scalars[2], scalars[3])
        return self.adam(self.weight, *moments, rate, self.beta1, self.beta2, self.epsilon, gradient)


class LambRule(Rule):
    """LAMB (You et al., 2020, arXiv 1904.00962): u = m̂/(√v̂ + ε) + decay·w; w ← w − rate·(‖w‖/‖u‖)·u.

    The ratio is 1 where a norm is 0, and for norms and biases, which have no decay either.
    """

    def __init__(self, entry: Registration, config: OptimizerConfig) -> None:
        super().__init__(entry, config)
        self.beta1, self.beta2, self.epsilon = config.beta1, config.beta2, config.epsilon
        self.adapted = entry.decayed
        self.first_moment = state("first_moment", entry)
        self.second_moment = state("second_moment", entry)

    def construct(self, gradient: Tensor, scalars: Scalars) -> Any:
        """Update from the gradient."""
        rate = scalars[self.rate_index]
        gradient = self.before(gradient)
        first = self.beta1 * self.first_moment + (1.0 - self.beta1) * gradient
        second = self.beta2 * self.second_moment + (1.0 - self.beta2) * gradient * gradient
        ops.assign(self.first_moment, first)
        ops.assign(self.second_moment, second)
        direction = first / (1.0 - scalars[2]) / (ops.sqrt(second / (1.0 - scalars[3])) + self.epsilon)
        if self.adapted:
            direction = direction + (self.shrink + self.l2) * self.weight
            direction = self.scaled(direction, self.trust_ratio(direction))
        return ops.assign(self.weight, self.weight - rate * direction)

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
        outputs, inputs = entry.parameter.shape
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
        rate = scalars[self.rate_index]
        g = self.before(gradient).reshape(self.stacked)
        first = self.beta1 * self.first_moment.reshape(self.stacked) + (1.0 - self.beta1) * g
        rotated = self.rotate(g)
        second = self.beta2 * self.second_moment.reshape(self.stacked) + (1.0 - self.beta2) * rotated * rotated
        ops.assign(self.first_moment, first.reshape(self.shape))
        ops.assign(self.second_moment, second.reshape(self.shape))
        root = ops.sqrt(second / (1.0 - scalars[3])) + self.epsilon
        direction = self.rotate(first) / (1.0 - scalars[2]) / root
        direction = self.product_t(self.product(self.basis_left, direction), self.basis_right)
        self.accumulate(g)
        return self.apply(rate * self.decayed(direction.reshape(self.shape)), rate)

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


def squares(kind: str, entry: Registration, size: int) -> Any:
    """Zero matrices [groups, size, size]."""
    return Parameter(
        np.zeros((entry.groups, size, size), np.float32), f"{kind}.{entry.parameter.name}", requires_grad=False
    )
