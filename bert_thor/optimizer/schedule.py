"""What depends on the step alone: learning rate, damping, when to refresh."""

from __future__ import annotations

from bert_thor.optimizer.config import OptimizerConfig


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


def damping(step: int, steps: int, config: OptimizerConfig) -> float:
    """λ at `step`."""
    if config.damping_power == 0:
        return config.damping
    return polynomial(step, config.horizon or steps, 0, config.damping, config.damping_end, config.damping_power)


def refreshes_at(step: int, config: OptimizerConfig) -> bool:
    """Whether `step` refreshes the curvature: step 0, and every interval-th step counted from where that interval began."""
    start, interval = [pair for pair in config.refresh_intervals() if pair[0] <= step][-1]
    return (step - start) % interval == 0
