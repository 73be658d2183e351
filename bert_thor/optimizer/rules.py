"""The update rules: cells that own a parameter's optimizer state and change the parameter in place.

Letters: O outputs, I inputs of a dense layer, n blocks of edge b.
"""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.optimizer.registration import Registration
from bert_thor.ops.precondition import precondition

TINY = 1e-30
"""Keeps a division by the norm of an all-zero direction finite."""


class AdamRule(nn.Cell):
    """Adam (Kingma & Ba, 2015) by the framework's fused kernel, with decoupled decay (Loshchilov & Hutter, 2019)."""

    def __init__(self, entry: Registration, config: OptimizerConfig) -> None:
        super().__init__()
        self.weight = entry.parameter
        self.decay = config.weight_decay if entry.decayed else 0.0
        self.dense = entry.layer is not None
        self.beta1, self.beta2, self.epsilon = config.beta1, config.beta2, config.epsilon
        self.first = _state("first_moment", entry)
        self.second = _state("second_moment", entry)
        self.adam = ops.Adam()

    def construct(self, gradient: Tensor, rate: Tensor, first_rate: Tensor, power1: Tensor, power2: Tensor) -> None:
        """w ← w(1 − rate·decay) − rate·m̂/(√v̂ + ε)."""
        chosen = rate if self.dense else first_rate
        if self.decay > 0.0:
            ops.assign(self.weight, self.weight * (1.0 - chosen * self.decay))
        self.adam(
            self.weight, self.first, self.second, power1, power2, chosen, self.beta1, self.beta2, self.epsilon, gradient
        )


class KroneckerRule(nn.Cell):
    """THOR: w ← w(1 − rate·decay) − rate·ρ·u/rms(u), u = G⁻¹ · nesterov(m) · A⁻¹ on packed diagonal blocks.

    Momentum comes before preconditioning, so that old gradients are always seen through the newest curvature; u is normalised for each of
    the layer's groups (query, key and value count as three tensors).
    """

    def __init__(self, entry: Registration, config: OptimizerConfig) -> None:
        super().__init__()
        assert entry.layer is not None
        self.weight = entry.parameter
        self.groups = entry.layer.groups
        self.decay, self.momentum, self.rms = config.weight_decay, config.momentum, config.update_rms
        self.average = _state("momentum", entry)
        self.inverse_a = _identity_blocks(f"inverse_a.{entry.parameter.name}", entry.layer.probe_a.shape)
        self.inverse_g = _identity_blocks(f"inverse_g.{entry.parameter.name}", entry.layer.probe_g.shape)
        self.precondition = precondition()

    def construct(self, gradient: Tensor, rate: Tensor, first_rate: Tensor, power1: Tensor, power2: Tensor) -> None:
        """Update the weight and the momentum from the (clipped) gradient."""
        average = self.momentum * self.average + (1.0 - self.momentum) * gradient
        ops.assign(self.average, average)
        ahead = self.momentum * average + (1.0 - self.momentum) * gradient
        direction = self.precondition(self.inverse_g, ahead, self.inverse_a)
        grouped = direction.reshape(self.groups, -1)
        scale = self.rms / (ops.sqrt((grouped * grouped).mean(1, keep_dims=True)) + TINY)
        step = (grouped * scale).reshape(direction.shape)
        ops.assign(self.weight, self.weight * (1.0 - rate * self.decay) - rate * step)


class Refresh(nn.Cell):
    """Averages one layer's captured factors over time and inverts them: F ← βF + (1 − β)F_new; (F/f + λI)⁻¹ with f the mean diagonal of F.

    Dividing by the mean diagonal makes the damping free of scale: neither the loss's nor the batch's size enters. A block that the
    kernel reports keeps its previous inverse.
    """

    def __init__(self, rule: KroneckerRule, entry: Registration, config: OptimizerConfig, inverse: nn.Cell) -> None:
        super().__init__(auto_prefix=False)
        assert entry.layer is not None
        self.sizes = (entry.layer.inputs, entry.layer.outputs)
        self.damping = config.damping
        name = entry.parameter.name
        self.factor_a = Parameter(np.zeros(entry.layer.probe_a.shape, np.float32), f"factor_a.{name}", requires_grad=False)
        self.factor_g = Parameter(np.zeros(entry.layer.probe_g.shape, np.float32), f"factor_g.{name}", requires_grad=False)
        self.inverse_a, self.inverse_g = rule.inverse_a, rule.inverse_g
        self.cholesky_inverse = inverse

    def construct(self, captured_a: Tensor, captured_g: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """Return the status of every block of A and of G."""
        return (
            self.one(self.factor_a, self.inverse_a, captured_a, keep, self.sizes[0]),
            self.one(self.factor_g, self.inverse_g, captured_g, keep, self.sizes[1]),
        )

    def one(self, factor: Parameter, inverse: Parameter, captured: Tensor, keep: Tensor, size: int) -> Tensor:
        """Refresh one factor; `keep` is β, 0 at the first refresh."""
        new = keep * factor + (1.0 - keep) * captured
        ops.assign(factor, new)
        trace = (new * ops.eye(new.shape[1], new.shape[2], ms.float32)).sum()
        damping = ops.fill(ms.float32, (new.shape[0],), self.damping)
        candidate, status = self.cholesky_inverse(new * (size / (trace + TINY)), damping)
        healthy = ops.equal(status, 0).reshape(-1, 1, 1)
        ops.assign(inverse, ops.select(ops.broadcast_to(healthy, new.shape), candidate, inverse))
        return status


def _state(kind: str, entry: Registration) -> Parameter:
    zeros = np.zeros(entry.parameter.shape, np.float32)
    return Parameter(zeros, f"{kind}.{entry.parameter.name}", requires_grad=False)


def _identity_blocks(name: str, shape: tuple[int, ...]) -> Parameter:
    eye = np.broadcast_to(np.eye(shape[1], dtype=np.float32), shape).copy()
    return Parameter(eye, name, requires_grad=False)
