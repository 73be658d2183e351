"""The protocol: which runs, in which order, decided by nothing but the results of earlier ones.

tiny   For each optimizer the same 12 runs, one knob after the other, each time keeping the value with the lowest validation loss: 5
       learning rates, 3 rates of the parameters without curvature relative to it, 2 values each of two more knobs. The presets of
       the published THOR are their numbers: they get the 5 learning rates only.
mini   The tuned values. THOR and the two baselines that tuned best on tiny: 3 learning rates around the tuned one (seed 0, validation
       loss), then seeds with the best, five for THOR and for the better baseline. Everything else: the tuned values. THOR also with
       shorter complete schedules, so that its advantage is not only read off a curve whose rate is still high.

Selection reads the validation documents only; accuracy on the test documents is what is reported.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

OPTIMIZERS = ("thor", "adamw", "muon", "lamb", "soap", "sgd", "thor-2021", "thor-2020")
HEADLINE = "thor"
BASELINES = ("adamw", "muon", "lamb", "soap", "sgd")
PUBLISHED = ("thor-2021", "thor-2020")
STEPS = {"tiny": 800, "mini": 1000}
SEEDS = {"headline": 5, "horizon": 3, "other": 3, "published": 1}
HORIZONS = (0.35, 0.5, 0.7)
"""Shares of the budget that THOR gets as complete schedules in stage mini."""
LEARNING_RATES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Multiples of the preset's."""
FIRST_ORDER_RATES = (0.5, 2.0, 4.0)
"""Multiples of the preset's ratio of the first-order rate to the learning rate."""
MINI_RATES = (0.6, 1.0, 1.6)
START = {
    **{"thor": 6e-3, "adamw": 1.4e-3, "muon": 8e-3, "lamb": 1.4e-2, "soap": 4e-3, "sgd": 0.3},
    **{"thor-2020": 3.1e-3, "thor-2021": 6.464e-3},
}
"""Learning rates that the multiples start from."""
RATIO = {"thor": 4 / 3, "adamw": 4.0, "soap": 2.0}
"""First-order rate by learning rate; 1 where nothing is listed."""
KNOBS: dict[str, tuple[tuple[str, tuple[Any, Any]], tuple[str, tuple[Any, Any]]]] = {
    "thor": (("damping", (0.05, 0.2)), ("refresh_interval", (5, 20))),
    "adamw": (("beta2", (0.95, 0.999)), ("warmup", (0.03, 0.2))),
    "muon": (("momentum", (0.9, 0.98)), ("warmup", (0.03, 0.2))),
    "lamb": (("beta2", (0.95, 0.999)), ("warmup", (0.03, 0.2))),
    "soap": (("refresh_interval", (5, 20)), ("beta2", (0.9, 0.98))),
    "sgd": (("momentum", (0.8, 0.95)), ("warmup", (0.03, 0.2))),
}
"""Two more knobs of each optimizer, with two values beside the preset's."""


@dataclass(frozen=True)
class Spec:
    """One run."""

    stage: str
    optimizer: str
    values: dict[str, Any] = field(default_factory=dict)
    """Optimizer fields that differ from the preset."""
    steps: int = 1000
    seed: int = 0

    @property
    def key(self) -> str:
        """File name of the result."""
        parts = [f"{name}={value:g}" for name, value in sorted(self.values.items())]
        return "_".join([self.optimizer, *parts, f"steps={self.steps}", f"seed={self.seed}"])

    def to_json(self) -> dict[str, Any]:
        """All fields and the key."""
        return {**asdict(self), "key": self.key}


def next_specs(stage: str, results: Sequence[dict[str, Any]]) -> list[Spec]:
    """The runs that can be made now; empty when the stage is complete. The optimizers take turns, one run each. In stage tiny no run
    depends on those of another optimizer: they may be made side by side."""
    done = {(result["spec"]["stage"], result["spec"]["key"]): result for result in results}
    pending = []
    for optimizer in OPTIMIZERS:
        walk = tiny_walk(optimizer, done) if stage == "tiny" else mini_walk(optimizer, done)
        first = next(((number, spec) for number, spec in enumerate(walk) if (stage, spec.key) not in done), None)
        if first is not None:
            pending.append(first)
    return [spec for _, spec in sorted(pending, key=lambda item: item[0])]


def tiny_walk(optimizer: str, done: dict[tuple[str, str], dict[str, Any]]) -> Iterator[Spec]:
    """The 12 runs of one optimizer in order; what comes after a run that is not done yet depends on it."""
    start, ratio = START[optimizer], RATIO.get(optimizer, 1.0)

    def spec(values: dict[str, Any]) -> Spec:
        return Spec("tiny", optimizer, values, STEPS["tiny"])

    def with_rate(factor: float) -> dict[str, Any]:
        rate = _rounded(start * factor)
        return {"learning_rate": rate, "first_order_learning_rate": _rounded(rate * ratio)}

    candidates = [with_rate(factor) for factor in (1.0, 2.0, 0.5, 4.0, 0.25)]
    assert sorted((1.0, 2.0, 0.5, 4.0, 0.25)) == list(LEARNING_RATES)
    yield from map(spec, candidates)
    if optimizer in PUBLISHED:
        return
    best = _best("tiny", [spec(values) for values in candidates], done)
    first = [
        {**best, "first_order_learning_rate": _rounded(best["learning_rate"] * ratio * f)} for f in FIRST_ORDER_RATES
    ]
    yield from map(spec, first)
    best = _best("tiny", [spec(values) for values in [best, *first]], done)
    for name, values in KNOBS[optimizer]:
        more = [{**best, name: value} for value in values]
        yield from map(spec, more)
        best = _best("tiny", [spec(one) for one in [best, *more]], done)


def tuned(optimizer: str, done: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    """The values with the lowest validation loss of all runs of stage tiny."""
    specs = list(tiny_walk(optimizer, done))
    return _best("tiny", specs, done)


def mini_walk(optimizer: str, done: dict[tuple[str, str], dict[str, Any]]) -> Iterator[Spec]:
    """Three rates around the tuned one, then seeds; THOR and the best baseline have `SEEDS["headline"]`, and THOR shorter schedules."""
    values, steps = tuned(optimizer, done), STEPS["mini"]
    grid = []
    for factor in MINI_RATES if optimizer in (HEADLINE, *contenders(done)) else (1.0,):
        rates = {name: _rounded(values[name] * factor) for name in ("learning_rate", "first_order_learning_rate")}
        grid.append({**values, **rates})
    specs = [Spec("mini", optimizer, one, steps) for one in grid]
    yield from specs
    best = _best("mini", specs, done)
    group = "published" if optimizer in PUBLISHED else "other"
    group = "headline" if optimizer in (HEADLINE, best_baseline(done)) else group
    for seed in range(1, SEEDS[group]):
        yield Spec("mini", optimizer, best, steps, seed)
    if optimizer == HEADLINE:
        for share in HORIZONS:
            for seed in range(SEEDS["horizon"]):
                yield Spec("mini", optimizer, best, int(share * steps), seed)


def contenders(done: dict[tuple[str, str], dict[str, Any]]) -> tuple[str, ...]:
    """The two baselines with the lowest validation losses of stage tiny."""
    losses = [
        (min((loss_of(r) for r in done.values() if _is_run_of(r, "tiny", name)), default=math.inf), name)
        for name in BASELINES
    ]
    return tuple(name for _, name in sorted(losses)[:2])


def _is_run_of(result: dict[str, Any], stage: str, optimizer: str) -> bool:
    spec = result["spec"]
    return bool(spec["stage"] == stage and spec["optimizer"] == optimizer)


def best_baseline(done: dict[tuple[str, str], dict[str, Any]]) -> str:
    """The baseline with the lowest validation loss of a run of stage mini with seed 0 ("" before there is one)."""
    runs = [
        (loss_of(result), result["spec"]["optimizer"])
        for (stage, _), result in done.items()
        if stage == "mini" and result["spec"]["optimizer"] in BASELINES and result["spec"]["seed"] == 0
    ]
    return min(runs)[1] if runs else ""


def loss_of(result: dict[str, Any]) -> float:
    """Final validation loss; infinite for a run that broke."""
    loss = result["validation"][-1]["masked_lm_loss"] if result["validation"] else None
    return loss if loss is not None and math.isfinite(loss) else math.inf


def _best(stage: str, specs: Sequence[Spec], done: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    """The values of the spec with the lowest validation loss among those that are done."""
    finished = [
        (loss_of(done[stage, spec.key]), index) for index, spec in enumerate(specs) if (stage, spec.key) in done
    ]
    return specs[min(finished)[1]].values if finished else specs[0].values


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
