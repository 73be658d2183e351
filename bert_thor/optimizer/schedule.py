"""What depends on the step alone: learning rate, damping, when to refresh."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable, Optional, Union

from bert_thor.errors import ConfigError
from bert_thor.optimizer.config import OptimizerConfig

Rate = Union[float, Sequence[float], Callable[[int], float]]
"""A learning rate: a number, one for every step, or a function of the step (from 0)."""


def polynomial(step: int, horizon: int, rising: int, start: float, end: float, power: float) -> float:
    """(start − end)·(1 − (step − rising) / (horizon − rising))^power + end; `end` from the horizon on, `start` before `rising`."""
    left = 1.0 - max(0, step - rising) / max(1, horizon - rising)
    return (start - end) * max(0.0, left) ** power + end


def rate_factor(step: int, steps: int, config: OptimizerConfig) -> float:
    """The factor on the peak learning rates at `step` (from 0) of `steps`.

    Linear warm-up over warmup·horizon steps, (step + 1) / that many, then the polynomial of `learning_rate_power`.
    """
    horizon = config.horizon or steps
    rising = int(config.warmup * horizon)
    if step < rising:
        return (step + 1) / rising
    end = config.learning_rate_end / config.learning_rate if config.learning_rate > 0 else 0.0
    return polynomial(step, horizon, rising, 1.0, end, config.learning_rate_power)


def rates(
    learning_rate: Rate, first_order: Optional[Rate], steps: int, config: OptimizerConfig
) -> tuple[Callable[[int], float], Callable[[int], float]]:
    """The learning rates of the matrices and of the rest as functions of the step.

    Where the first is a number, numbers follow the curve of `rate_factor`. A list or a function is the rate of each step itself; beside it
    a number is the rate of all steps, and None keeps the ratio that the two have in `config`.
    """
    if isinstance(learning_rate, (int, float)):
        curves = [_curve(rate, steps, config) for rate in (learning_rate, first_order)]
        return curves[0], curves[1]
    matrices = _listed(learning_rate, "learning_rate", steps)
    if first_order is None:
        ratio = config.first_order_learning_rate / config.learning_rate
        return matrices, lambda step: ratio * matrices(step)
    return matrices, _listed(first_order, "first_order_learning_rate", steps)


def _curve(rate: Optional[Rate], steps: int, config: OptimizerConfig) -> Callable[[int], float]:
    if isinstance(rate, (int, float)):
        return lambda step: rate * rate_factor(step, steps, config)
    if rate is None:
        return lambda step: config.first_order_learning_rate * rate_factor(step, steps, config)
    return _listed(rate, "first_order_learning_rate", steps)


def _listed(rate: Rate, name: str, steps: int) -> Callable[[int], float]:
    if isinstance(rate, (int, float)):
        return lambda step: rate
    if callable(rate):
        return rate
    values = [float(value) for value in rate]
    if len(values) < steps:
        raise ConfigError(
            f"{name} has {len(values)} values for {steps} steps: give one for every step, a number, or a function"
        )
    return lambda step: values[min(step, len(values) - 1)]


def damping(step: int, steps: int, config: OptimizerConfig) -> float:
    """λ at `step`."""
    if config.damping_power == 0:
        return config.damping
    return polynomial(step, config.horizon or steps, 0, config.damping, config.damping_end, config.damping_power)


def refreshes_at(step: int, config: OptimizerConfig) -> bool:
    """Whether `step` refreshes the curvature: step 0, and every interval-th step counted from where that interval began."""
    start, interval = [pair for pair in config.refresh_intervals() if pair[0] <= step][-1]
    return (step - start) % interval == 0


def refreshes_between(first: int, last: int, config: OptimizerConfig) -> int:
    """How many of the steps from `first` up to, but not with, `last` refresh the curvature."""
    pairs, count = config.refresh_intervals(), 0
    for (start, interval), end in zip(pairs, [*(start for start, _ in pairs[1:]), last]):
        low, high = max(first, start), min(last, end)
        if low < high:
            count += (high - 1 - start) // interval - (low - 1 - start) // interval
    return count
