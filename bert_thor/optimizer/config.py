"""Every knob of the optimizers, with unit and default. The defaults are THOR's; each file in `methods/` has its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Union

import tyro
from typing_extensions import Literal

from bert_thor.errors import ConfigError
from bert_thor.optimizer.loss_scale import check_loss_scale

MAX_BLOCK = 1024
"""Largest block edge that the inversion kernel takes."""

DAMPING_RULES = ("relative", "absolute", "pi")
ROW_WEIGHTS = ("none", "gradient")


@dataclass(frozen=True)
class OptimizerConfig:
    """One update loop; the name chooses the method, which has its own defaults for the other fields."""

    name: Annotated[str, tyro.conf.arg(name="optimizer")] = "thor"
    """Which method updates the weights; each has its own defaults for the other options."""
    learning_rate: float = 6e-3
    """Peak step of the dense layers' weights: with thor the RMS of one step is learning_rate times update_rms."""
    learning_rate_end: float = 0.0
    """Step at the end of the horizon."""
    learning_rate_power: float = 1.0
    """Power of the polynomial that falls from the peak to the end; 1 is linear."""
    first_order_learning_rate: float = 8e-3
    """Peak step of the parameters listed in first_order; it follows the same curve."""
    warmup: float = 0.06
    """Fraction of the horizon over which the rates grow linearly from 0."""
    horizon: int = 0
    """Steps over which the rates and the damping fall; 0: the steps of the run."""
    weight_decay: float = 0.01
    """Decay of matrices and tables; norms and biases have none."""
    clip_norm: float = 1.0
    """Largest L2 norm of the gradient of all parameters (thor-2020: of each gradient; thor-2021: of each direction); 0: no clipping."""
    beta1: float = 0.9
    """Adam, LAMB, SOAP: decay of the first moment."""
    beta2: float = 0.98
    """Adam, LAMB, SOAP: decay of the second moment (soap: of L and R too)."""
    epsilon: float = 1e-8
    """Adam, LAMB, SOAP: term beside the root of the second moment."""
    first_order: tuple[str, ...] = ("bias", "norm", "table", "classifier")
    """Which parameters have the method's rule for the rest and its rate: kinds (bias, norm, table, dense, other; classifier: a dense layer
    with one or two outputs) and patterns of names, such as *.pooler.*."""
    momentum: float = 0.95
    """Decay of the average of gradients (thor, muon, sgd)."""
    damping: float = 0.1
    """thor: λ, added to the diagonal of the factors as damping_rule says."""
    damping_end: float = 0.0
    """thor: λ at the end of the horizon."""
    damping_power: float = 0.0
    """thor: power of the polynomial that falls from damping to damping_end; 0 keeps λ constant."""
    damping_rule: Literal["relative", "absolute", "pi"] = "relative"
    """thor: relative: F / mean(diag F) + λ I; absolute: F + √λ I; pi: A + π√λ I and G + √λ/π I, π² = mean(diag A) / mean(diag G)."""
    row_weights: Literal["none", "gradient"] = "none"
    """thor: none: A = Σ x xᵀ / N; gradient: a row counts in A by the square of its output gradient d, of which rows without one, such as
    padding, have no part: A = Σ ‖d‖² x xᵀ / N, the partial trace of the rows' own Fisher matrix Σ vec(d xᵀ) vec(d xᵀ)ᵀ / N (Martens and
    Grosse, 2015), of which A of none is the trace only if inputs and gradients are independent. The default is none everywhere."""
    factor_decay: float = 0.6
    """thor: weight of the old factors in their average, per refresh; 0: each refresh takes its own batch's factors alone."""
    refresh_interval: int = 10
    """thor, soap: steps from one refresh of the curvature to the next."""
    refresh_schedule: tuple[str, ...] = ()
    """thor, soap: STEP:INTERVAL pairs, from that step on the interval is this one, e.g. 200:25 1000:100."""
    trace_recompute: float = 0.0
    """thor: ω₁: a layer whose tr(F + λI) changed by less (relative, since its last inversion) keeps its inverses."""
    trace_freeze: float = 0.0
    """thor: ω₂, at most ω₁: a layer whose trace changed by less is never refreshed again; 0: none is."""
    block: Annotated[Union[int, Literal["auto"]], tyro.conf.arg(metavar="INT|auto")] = 128
    """thor: edge of the factors' diagonal blocks; 0 keeps whole matrices, auto measures information and time on this machine."""
    update_rms: float = 0.2
    """thor: root mean square that each tensor's direction is scaled to; 0 leaves it as it is."""
    loss_scale: Annotated[Union[float, str], tyro.conf.arg(metavar="dynamic|auto|FLOAT")] = "auto"
    """What the loss is multiplied by while gradients are computed: dynamic (2^16 at first, halved when a step overflows, which changes
    nothing else, doubled after loss_scale_window clean steps), a number, or auto: dynamic in float16, else 1."""
    loss_scale_window: int = 1000
    """Steps without overflow after which a dynamic loss_scale is doubled."""

    def check(self) -> None:
        """Raise `ConfigError` with one sentence when a value is outside its range. `methods.method` knows the names."""
        if self.damping_rule not in DAMPING_RULES:
            raise ConfigError(f"damping_rule is {self.damping_rule!r}: use one of {', '.join(DAMPING_RULES)}")
        if self.row_weights not in ROW_WEIGHTS:
            raise ConfigError(f"row_weights is {self.row_weights!r}: use one of {', '.join(ROW_WEIGHTS)}")
        if self.block != "auto" and not 0 <= int(self.block) <= MAX_BLOCK:
            raise ConfigError(
                f"block is {self.block}: block edges go from 1 to {MAX_BLOCK} (0: whole matrices, auto: measured)"
            )
        check_loss_scale(self.loss_scale, self.loss_scale_window)
        self._check_numbers()
        self.refresh_intervals()

    def _check_numbers(self) -> None:
        for name in _DECAYS:
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be at least 0 and below 1")
        for name in _NOT_NEGATIVE:
            if not 0.0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be finite and 0 or more")
        for end, start in _AT_MOST:
            if getattr(self, end) > getattr(self, start):
                raise ConfigError(
                    f"{end} is {getattr(self, end)}, above {start} {getattr(self, start)}: it must be at most that"
                )

    def refresh_intervals(self) -> list[tuple[int, int]]:
        """(first step, interval) in order of steps, beginning with (0, refresh_interval)."""
        pairs = [(0, self.refresh_interval)]
        for item in self.refresh_schedule:
            start, _, interval = item.partition(":")
            if not (start.isdecimal() and interval.isdecimal()) or int(start) <= pairs[-1][0]:
                raise ConfigError(
                    f"refresh_schedule has {item!r}: write STEP:INTERVAL with growing steps, such as 200:25 1000:100"
                )
            pairs.append((int(start), int(interval)))
        shortest = min(steps for _, steps in pairs)
        if shortest < 1:
            raise ConfigError(f"refresh_interval is {shortest}: it must be 1 step or more")
        return pairs


_DECAYS = ("momentum", "beta1", "beta2", "factor_decay", "warmup")
_NOT_NEGATIVE = (
    *("learning_rate", "learning_rate_end", "learning_rate_power", "first_order_learning_rate", "horizon"),
    *("weight_decay", "clip_norm", "epsilon", "damping", "damping_end", "damping_power"),
    *("trace_recompute", "trace_freeze", "update_rms"),
)
_AT_MOST = (
    ("learning_rate_end", "learning_rate"),
    ("damping_end", "damping"),
    ("trace_freeze", "trace_recompute"),
)
