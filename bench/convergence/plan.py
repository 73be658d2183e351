"""The protocol: which runs, in which order, decided by nothing but the results of earlier ones.

tiny     For each optimizer the same 12 runs, one knob after the other, each time keeping the value with the lowest validation loss: 5
         learning rates, 3 rates of the parameters without curvature relative to it, 2 values each of two more knobs. The presets of
         the published THOR are their numbers: they get the 5 learning rates only.
mini     The larger network, seed 0: the learning rate tuned on tiny and two lower ones, as a larger network bears less; for THOR and
         the baseline that tuned best on tiny also one more value of a knob that may depend on the width, with the two best rates, and
         then a longer warm-up with the best values. The published presets: the tuned values only.
claim    The larger network with the values that did best on mini, and seeds that nothing was chosen with: five of THOR and of the best
         baseline, three of the others.
longer   THOR again, with 1.2 times the steps: what it reaches in about the seconds of a baseline whose steps take longer.
seconds  What a step costs with these values: short runs, the optimizers in turn, alone on the machine.
variants What each part of THOR is worth: the values tuned on tiny with one of them changed, two seeds.

Selection reads the validation documents only; accuracy on the test documents is what is reported.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.convergence.contenders import BASELINES, CONTENDERS, HEADLINE, PUBLISHED, defaults

Done = dict[tuple[str, str], dict[str, Any]]
"""Results by stage and key."""

STEPS = {"tiny": 800, "mini": 800, "claim": 800, "longer": 960, "seconds": 80, "variants": 800}
AFTER = {"tiny": "", "mini": "tiny", "claim": "mini", "longer": "mini", "seconds": "mini", "variants": "tiny"}
"""The stage whose results decide what a stage runs."""
SMALL = ("tiny", "variants")
"""Stages of the small network."""
SEEDS = {"headline": 5, "other": 3, "variants": 2}
BATCH = 16
"""Sequences per step of every run."""
ROUNDS = 3
"""Of stage seconds."""
LEARNING_RATES = (1.0, 2.0, 0.5, 4.0, 0.25)
"""Multiples of the preset's, in the order in which they are tried."""
FIRST_ORDER_RATES = (0.5, 2.0, 4.0)
"""Multiples of the preset's ratio of the first-order rate to the learning rate."""
MINI_RATES = (1.0, 0.6, 0.36)
MINI_KNOB: dict[str, dict[str, Any]] = {
    "thor": {"block": 256},
    **{"muon": {"momentum": 0.9}, "soap": {"refresh_interval": 5}},
    **{"adamw": {"beta2": 0.95}, "lamb": {"beta2": 0.95}, "sgd": {"momentum": 0.8}},
}
"""What is also tried on mini. On tiny a block of 128 is a whole factor of the hidden layers, on mini a quarter of one."""
ANY_MINI_KNOB: dict[str, Any] = {"weight_decay": 0.03}
MINI_WARMUP = 0.2
"""Share of the horizon that a contender warms up for in its last run on mini."""
VARIANTS: tuple[dict[str, Any], ...] = (
    {},
    *({"factor_decay": 0.0}, {"factor_decay": 0.9}),
    *({"damping": 0.01}, {"damping": 0.3}),
    *({"block": 64}, {"block": 0}),
    *({"refresh_interval": 50}, {"refresh_schedule": ["100:20", "300:50"]}, {"trace_recompute": 0.05}),
    *({"momentum": 0.9}, {"momentum_order": "after"}),
)
"""Of stage variants, beside the tuned values: averaging, damping, block edge, age of the inverses, momentum."""
Knob = tuple[str, tuple[Any, Any]]
ANY_KNOBS: tuple[Knob, Knob] = (("warmup", (0.03, 0.2)), ("weight_decay", (0.0, 0.03)))
"""Of an optimizer that KNOBS does not list."""
KNOBS: dict[str, tuple[Knob, Knob]] = {
    "thor": (("damping", (0.05, 0.2)), ("refresh_interval", (5, 20))),
    "adamw": (("beta2", (0.95, 0.999)), ("warmup", (0.03, 0.2))),
    "muon": (("momentum", (0.9, 0.98)), ("warmup", (0.03, 0.2))),
    "lamb": (("beta2", (0.95, 0.999)), ("warmup", (0.03, 0.2))),
    "soap": (("refresh_interval", (5, 20)), ("beta2", (0.9, 0.98))),
    "sgd": (("momentum", (0.8, 0.95)), ("warmup", (0.03, 0.2))),
}
"""Two more knobs of an optimizer, with two values beside the preset's."""


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
        parts = [f"{name}={_text(value)}" for name, value in sorted(self.values.items())]
        return "_".join([self.optimizer, *parts, f"steps={self.steps}", f"seed={self.seed}"])

    def to_json(self) -> dict[str, Any]:
        """All fields and the key."""
        return {**asdict(self), "key": self.key}


def by_key(results: Sequence[dict[str, Any]]) -> Done:
    """The results of finished runs, to be found by their specs."""
    return {(result["spec"]["stage"], result["spec"]["key"]): result for result in results}


def stage_before(stage: str, results: Sequence[dict[str, Any]]) -> str:
    """The first of the stages whose results decide what `stage` runs that is not complete. "" if all are."""
    before: list[str] = []
    while stage := AFTER[stage]:
        before.insert(0, stage)
    return next((earlier for earlier in before if next_specs(earlier, results)), "")


def next_specs(stage: str, results: Sequence[dict[str, Any]]) -> list[Spec]:
    """The runs that can be made now, side by side if need be; empty when the stage is complete.

    The optimizers take turns; what decides the values comes first, then the seeds of the headline pair.
    """
    done = by_key(results)
    pending = []
    for place, optimizer in enumerate(CONTENDERS):
        made = 0
        for group in groups(stage, optimizer, done):
            missing = [(k, spec) for k, spec in enumerate(group) if (stage, spec.key) not in done]
            pending += [((_patience(spec, done), made + k, place), spec) for k, spec in missing]
            made += len(group)
            if missing:
                break
    return [spec for _, spec in sorted(pending, key=lambda item: item[0])]


def _patience(spec: Spec, done: Done) -> int:
    """How late a run's turn is. In stage mini THOR and the two baselines ahead on tiny come first; in stage claim the runs that decide
    which baseline is the best one, then the headline pair's, then the others'.
    """
    if spec.stage == "mini":
        return int(spec.optimizer not in (HEADLINE, *leaders("tiny", 2, done)))
    if spec.stage != "claim":
        return 0
    rivals = (HEADLINE, *leaders("mini", 2, done))
    if spec.optimizer in rivals and spec.seed == 1:
        return 0
    return 1 if spec.optimizer in (HEADLINE, best_baseline(done)) else 2


def groups(stage: str, optimizer: str, done: Done) -> Iterator[list[Spec]]:
    """All runs of one optimizer in a stage. What a group holds depends on the results of those before it, never on its own."""
    makers = {"tiny": tiny_groups, "mini": mini_groups, "claim": claim_groups, "longer": longer_groups}
    return {**makers, "seconds": seconds_groups, "variants": variants_groups}[stage](optimizer, done)


def tiny_groups(optimizer: str, done: Done) -> Iterator[list[Spec]]:
    """Learning rates, first-order rates, then the two knobs."""
    start = defaults(optimizer).learning_rate
    ratio = defaults(optimizer).first_order_learning_rate / start

    def specs(candidates: Sequence[dict[str, Any]]) -> list[Spec]:
        return [Spec("tiny", optimizer, values, STEPS["tiny"]) for values in candidates]

    def with_rate(factor: float) -> dict[str, Any]:
        rate = _rounded(start * factor)
        return {"learning_rate": rate, "first_order_learning_rate": _rounded(rate * ratio)}

    candidates = [with_rate(factor) for factor in LEARNING_RATES]
    yield specs(candidates)
    if optimizer in PUBLISHED:
        return
    best = _best(specs(candidates), done)
    first = [
        {**best, "first_order_learning_rate": _rounded(best["learning_rate"] * ratio * f)} for f in FIRST_ORDER_RATES
    ]
    yield specs(first)
    best = _best(specs([best, *first]), done)
    for name, values in KNOBS.get(optimizer, ANY_KNOBS):
        more = [{**best, name: value} for value in values]
        yield specs(more)
        best = _best(specs([best, *more]), done)


def tuned(optimizer: str, done: Done) -> dict[str, Any]:
    """The values with the lowest validation loss of all runs of stage tiny."""
    return _best([spec for group in tiny_groups(optimizer, done) for spec in group], done)


def mini_groups(optimizer: str, done: Done) -> Iterator[list[Spec]]:
    """Learning rates around the tuned one; a contender's other knob, then its warm-up."""
    values = tuned(optimizer, done)
    rates = []
    for factor in MINI_RATES[:1] if optimizer in PUBLISHED else MINI_RATES:
        both = {name: _rounded(values[name] * factor) for name in ("learning_rate", "first_order_learning_rate")}
        rates.append(Spec("mini", optimizer, {**values, **both}, STEPS["mini"]))
    yield rates
    if optimizer in (HEADLINE, *leaders("tiny", 1, done)):
        best = _by_loss(rates, done)[:2]
        knob = [
            Spec("mini", optimizer, {**spec.values, **MINI_KNOB.get(optimizer, ANY_MINI_KNOB)}, STEPS["mini"])
            for spec in best
        ]
        yield knob
        values = _best([*rates, *knob], done)
        yield [Spec("mini", optimizer, {**values, "warmup": MINI_WARMUP}, STEPS["mini"])]


def chosen(optimizer: str, done: Done) -> dict[str, Any]:
    """The values with the lowest validation loss of all runs of stage mini."""
    return _best([spec for group in mini_groups(optimizer, done) for spec in group], done)


def claim_groups(optimizer: str, done: Done) -> Iterator[list[Spec]]:
    """Seeds with the values chosen on mini."""
    if optimizer not in PUBLISHED:
        values = chosen(optimizer, done)
        seeds = SEEDS["headline" if optimizer in (HEADLINE, best_baseline(done)) else "other"]
        yield [Spec("claim", optimizer, values, STEPS["claim"], seed) for seed in range(1, seeds + 1)]


def longer_groups(optimizer: str, done: Done) -> Iterator[list[Spec]]:
    """THOR's seeds of stage claim with more steps."""
    if optimizer == HEADLINE:
        values, seeds = chosen(optimizer, done), range(1, SEEDS["headline"] + 1)
        yield [Spec("longer", optimizer, values, STEPS["longer"], seed) for seed in seeds]


def seconds_groups(optimizer: str, done: Done) -> Iterator[list[Spec]]:
    """The same short run in every round; the presets of the published THOR are not compared by their seconds."""
    if optimizer not in PUBLISHED:
        best = chosen(optimizer, done)
        yield [Spec("seconds", optimizer, best, STEPS["seconds"], turn) for turn in range(ROUNDS)]


def variants_groups(optimizer: str, done: Done) -> Iterator[list[Spec]]:
    """THOR with one value changed."""
    if optimizer == HEADLINE:
        base, steps = tuned(optimizer, done), STEPS["variants"]
        yield [
            Spec("variants", optimizer, {**base, **changed}, steps, seed)
            for seed in range(SEEDS["variants"])
            for changed in VARIANTS
        ]


def leaders(stage: str, count: int, done: Done) -> tuple[str, ...]:
    """The baselines with the lowest validation losses of a stage, the best one first."""
    losses = [
        (min((loss_of(r) for r in done.values() if _is_run_of(r, stage, name)), default=math.inf), name)
        for name in BASELINES
    ]
    return tuple(name for _, name in sorted(losses)[:count])


def _is_run_of(result: dict[str, Any], stage: str, optimizer: str) -> bool:
    spec = result["spec"]
    return bool(spec["stage"] == stage and spec["optimizer"] == optimizer)


def best_baseline(done: Done) -> str:
    """The baseline with the lowest validation loss of a first run of stage claim ("" before there is one)."""
    runs = [
        (loss_of(result), result["spec"]["optimizer"])
        for (stage, _), result in done.items()
        if stage == "claim" and result["spec"]["optimizer"] in BASELINES and result["spec"]["seed"] == 1
    ]
    return min(runs)[1] if runs else ""


def loss_of(result: dict[str, Any]) -> float:
    """Final validation loss; infinite for a run that broke."""
    loss = result["validation"][-1]["masked_lm_loss"] if result["validation"] else None
    return loss if loss is not None and math.isfinite(loss) else math.inf


def _best(specs: Sequence[Spec], done: Done) -> dict[str, Any]:
    """The values of the spec with the lowest validation loss among those that are done."""
    return _by_loss(specs, done)[0].values


def _by_loss(specs: Sequence[Spec], done: Done) -> list[Spec]:
    """The specs by their validation losses, those that are not done last."""
    losses = {spec.key: loss_of(done[spec.stage, spec.key]) for spec in specs if (spec.stage, spec.key) in done}
    return sorted(specs, key=lambda spec: losses.get(spec.key, math.inf))


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "+".join(value).replace(":", "-")
    return value if isinstance(value, str) else f"{value:g}"


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
