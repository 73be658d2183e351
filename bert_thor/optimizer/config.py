"""Every knob of the optimizer, with unit and default."""

from __future__ import annotations

from dataclasses import dataclass

import tyro
from typing_extensions import Annotated

from bert_thor.config import ConfigError

OPTIMIZERS = ("thor", "adamw")


@dataclass(frozen=True)
class OptimizerConfig:
    """THOR for dense layers, Adam for the rest; or AdamW for everything."""

    name: Annotated[str, tyro.conf.arg(name="optimizer")] = "thor"
    """thor or adamw."""
    learning_rate: float = 6e-3
    """Peak step of the dense layers' weights: with thor the RMS of one step is learning_rate times update_rms."""
    first_order_learning_rate: float = 8e-3
    """Peak step of embeddings, norms and biases (Adam)."""
    warmup: float = 0.06
    """Fraction of the steps over which both rates grow linearly from 0; then they fall linearly to 0."""
    weight_decay: float = 0.01
    """Decoupled decay of matrices and tables per unit of learning rate; norms and biases have none."""
    clip_norm: float = 1.0
    """Gradients are scaled down to this global L2 norm; 0 turns clipping off."""
    beta1: float = 0.9
    """Adam's decay of the first moment."""
    beta2: float = 0.98
    """Adam's decay of the second moment."""
    epsilon: float = 1e-8
    """Adam's term beside the root of the second moment."""
    momentum: float = 0.95
    """thor: decay of the gradient average that is preconditioned (Nesterov form)."""
    damping: float = 0.1
    """thor: added to the diagonal of each factor, relative to the factor's mean diagonal."""
    factor_decay: float = 0.6
    """thor: weight of the old factors in their average, per refresh."""
    refresh_interval: int = 10
    """thor: steps from one refresh of factors and inverses to the next."""
    block: int = 128
    """thor: edge of the factors' diagonal blocks; 0 keeps whole matrices."""
    update_rms: float = 0.2
    """thor: root mean square that each tensor's direction is scaled to."""

    def check(self) -> None:
        """Raise `ConfigError` with one sentence when a value is outside its range."""
        if self.name not in OPTIMIZERS:
            raise ConfigError(f"optimizer {self.name!r} is not known: use one of {', '.join(OPTIMIZERS)}")
        if self.refresh_interval < 1:
            raise ConfigError(f"refresh_interval is {self.refresh_interval}: it must be 1 step or more")
        if self.block < 0 or self.block > 1024:
            raise ConfigError(f"block is {self.block}: block edges go from 1 to 1024 (0: whole matrices)")
        for name in ("momentum", "beta1", "beta2", "factor_decay", "warmup"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be at least 0 and below 1")
        for name in ("learning_rate", "first_order_learning_rate", "weight_decay", "clip_norm", "damping"):
            if not getattr(self, name) >= 0.0:
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be 0 or more")


def rate_factor(step: int, steps: int, warmup: float) -> float:
    """Linear warm-up over `warmup`·`steps` steps, then linear decay: the factor on the peak rate at `step` (from 0)."""
    rising = max(1, int(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    return max(0.0, (steps - step) / max(1, steps - rising))
