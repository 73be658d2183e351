"""A scaled loss leaves no trace in what the optimizer sees, and a step that overflows changes nothing but the scale."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

import mindspore as ms
import numpy as np
import pytest
from any_network import Mixed, OneLayer, Start, kept, mixed_batch, normal, squares
from mindspore import Tensor, nn, ops

from bert_thor.errors import ConfigError
from bert_thor.optimizer import StepResult, Thor
from bert_thor.optimizer.curvature.refresh import KroneckerCurvatures
from bert_thor.optimizer.loss_scale import LEAST, MOST, START, LossScale, scale_for
from bert_thor.optimizer.methods import METHODS
from bert_thor.optimizer.step import ScaledGradients, Unscaled

Run = tuple[list[StepResult], dict[str, np.ndarray]]
NAN = Tensor(np.full((5, 4, 6), np.nan, np.float32))


@pytest.fixture(autouse=True)
def graph_mode() -> None:
    ms.set_context(mode=ms.GRAPH_MODE)


def mixed(**options: Any) -> Thor:
    """An optimizer of a network with every kind of parameter, always from the same weights; refreshes in steps 0, 2, 4."""
    network = kept(Mixed())
    generator = np.random.default_rng(0)
    for parameter in network.get_parameters():
        parameter.set_data(Tensor(0.3 * generator.standard_normal(parameter.shape).astype(np.float32)))
    loss = options.pop("loss", squares)
    thor: Thor = kept(Thor(network, loss, **{"steps": 10, "block": 4, "refresh_interval": 2, **options}))
    return thor


def values(thor: Thor) -> dict[str, np.ndarray]:
    """Weights, state and place in the schedule, without the scale."""
    weights = {parameter.name: parameter.asnumpy().copy() for parameter in thor.network.get_parameters()}
    return {name: value for name, value in {**weights, **thor.state_dict()}.items() if name != "loss_scale"}


def run(thor: Thor, batches: Iterable[tuple[Tensor, Tensor]]) -> Run:
    results = [thor.step(*batch) for batch in batches]
    return results, values(thor)


def assert_same_bits(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    assert ours.keys() == theirs.keys()
    assert [name for name, value in ours.items() if value.tobytes() != theirs[name].tobytes()] == []


def numbers(results: list[StepResult]) -> list[Any]:
    return [(r.loss, r.parts, r.gradient_norm, r.learning_rate, r.refreshed, r.curvature) for r in results]


def assert_a_power_of_two_changes_no_bit(**options: Any) -> None:
    batches = [mixed_batch(seed) for seed in range(4)]
    results, after = run(mixed(loss_scale=1, **options), batches)
    scaled, scaled_after = run(mixed(loss_scale="dynamic", loss_scale_window=1, **options), batches)
    assert [result.loss_scale for result in scaled] == [START, 2 * START, 4 * START, 8 * START]
    assert numbers(results) == numbers(scaled)
    assert_same_bits(after, scaled_after)


def param(value: Any, name: str, short: Container[str]) -> Any:
    return pytest.param(value, id=name, marks=() if name in short else pytest.mark.long)


@pytest.mark.parametrize("name", [param(name, name, ("thor", "soap")) for name in sorted(METHODS)])
def test_a_power_of_two_changes_no_bit(name: str) -> None:
    """Gradients, norms, factors, inverses, moments and weights, over two refreshes and four scales."""
    assert_a_power_of_two_changes_no_bit(name=name)


def test_rows_weighed_by_scaled_gradients_have_no_scale() -> None:
    """Absolute damping is not blind to it; tables with factors among them."""
    assert_a_power_of_two_changes_no_bit(row_weights="gradient", damping_rule="absolute", first_order=())


@pytest.mark.long
@pytest.mark.parametrize("options", [{"damping_rule": "pi"}, {"trace_recompute": 1e-3, "damping_rule": "absolute"}])
def test_other_rules_of_thor_see_no_scale_either(options: dict[str, Any]) -> None:
    assert_a_power_of_two_changes_no_bit(**options)


@pytest.mark.parametrize("row_weights", ["none", "gradient"])
def test_small_factors_are_not_flushed(row_weights: str) -> None:
    """G, and A of weighted rows, are of the order of 1e-20 here; S² times as much in between."""

    def small(y: Tensor, target: Tensor) -> Tensor:
        return 1e-8 * squares(y, target)

    options: dict[str, Any] = {"loss": small, "first_order": (), "row_weights": row_weights}
    thor = mixed(loss_scale=2.0**24, **options)
    factors, _ = thor.capture(*mixed_batch(0))
    powers = thor.curvatures.powers()  # type: ignore[union-attr]
    small_ones = [factor for factor, power in zip(factors, powers) if power]
    assert len(small_ones) == (len(factors) if row_weights == "gradient" else len(factors) // 2)
    assert all(0 < factor.max() < 1e-15 for factor in small_ones)
    unscaled, _ = mixed(loss_scale=1, **options).capture(*mixed_batch(0))
    assert all((ours == theirs).all() for ours, theirs in zip(factors, unscaled))


@pytest.mark.parametrize(
    "wrong",
    [
        param(powers, name, ("S stays",))
        for powers, name in (([0, 1], "S once"), ([0, 0], "S stays"), ([2, 2], "A too"))
    ],
)
def test_a_scale_that_stays_in_a_factor_is_found(monkeypatch: pytest.MonkeyPatch, wrong: list[int]) -> None:
    """Absolute damping is not blind to it, as the relative one is."""
    powers = KroneckerCurvatures.powers
    monkeypatch.setattr(KroneckerCurvatures, "powers", lambda self: [wrong[power // 2] for power in powers(self)])
    with pytest.raises(AssertionError):
        assert_a_power_of_two_changes_no_bit(damping_rule="absolute")


def assert_an_overflow_changes_nothing(bad: int) -> None:
    """A batch in the place `bad` that is not finite: as if it had not been there, but for the scale."""
    batches = [mixed_batch(seed) for seed in range(4)]
    start = Start(mixed(loss_scale="dynamic"))
    _, expected = run(start.thor, batches)
    results, after = run(start.again(), [*batches[:bad], (batches[0][0], NAN), *batches[bad:]])
    assert [result.applied for result in results] == [place != bad for place in range(5)]
    assert [result.loss_scale for result in results] == [START if place <= bad else START / 2 for place in range(5)]
    assert [result.overflows for result in results] == [int(place >= bad) for place in range(5)]
    assert_same_bits(after, expected)


@pytest.mark.parametrize(
    "bad", [param(bad, name, ("refresh",)) for bad, name in enumerate(("first refresh", "cached", "refresh"))]
)
def test_an_overflow_changes_nothing_but_the_scale(bad: int) -> None:
    assert_an_overflow_changes_nothing(bad)


def large(y: Tensor, target: Tensor) -> Tensor:
    """Gradients and loss stay finite with START, the squares of the gradients do not."""
    return 1e17 * squares(y, target)


def larger(y: Tensor, target: Tensor) -> Tensor:
    """The loss stays finite, with START the gradients do not."""
    return 1e36 * squares(y, target)


def assert_what_overflows_is_not_averaged(**options: Any) -> None:
    """Neither by the averages of factors nor by the moments."""
    thor = mixed(loss_scale="dynamic", **options)
    before = values(thor)
    first = thor.step(*mixed_batch(0))
    assert_same_bits(values(thor), before)
    assert np.isfinite(first.loss) and not first.applied and thor.loss_scale.value == START / 2


def test_a_scale_is_found_at_which_factors_do_not_overflow() -> None:
    thor, steps = mixed(loss=large, loss_scale="dynamic"), 0
    while not thor.step(*mixed_batch(0)).applied:
        steps += 1
        assert steps < 20
    assert all(np.isfinite(value).all() for value in values(thor).values())
    assert thor.step_number == 1 and thor.loss_scale.overflows == steps > 1


OVERFLOWS = [
    pytest.param({"loss": large}, id="factors"),
    pytest.param({"loss": larger, "name": "adamw"}, id="gradients"),
]


@pytest.mark.parametrize("options", OVERFLOWS)
def test_what_overflows_is_not_averaged(options: dict[str, Any]) -> None:
    assert_what_overflows_is_not_averaged(**options)


@pytest.mark.parametrize("options", OVERFLOWS)
def test_an_overflow_that_reaches_an_average_is_found(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    def unchecked(self: Any, weights: Any, factors: Any) -> Tensor:
        norm = self.norm(weights)
        return ops.select(ops.isfinite(norm), norm, ops.ones_like(norm))

    monkeypatch.setattr(Unscaled, "checked_norm", unchecked)
    with pytest.raises(AssertionError, match="assert \\["):  # of the values, not of what the step says
        assert_what_overflows_is_not_averaged(**options)


def test_factors_for_the_choice_of_a_block_are_finite() -> None:
    factors, _ = mixed(loss=large, loss_scale="dynamic").capture(*mixed_batch(0))
    assert all(np.isfinite(factor).all() for factor in factors)


def test_a_constant_scale_drops_steps_too() -> None:
    thor = mixed(loss_scale=8)
    before = values(thor)
    assert not thor.step(mixed_batch(0)[0], NAN).applied and thor.step_number == 0
    assert_same_bits(values(thor), before)
    assert thor.loss_scale.value == 8 and thor.loss_scale.overflows == 1


def test_without_scaling_there_is_no_state_and_the_schedule_goes_on() -> None:
    thor = mixed()
    assert not thor.step(mixed_batch(0)[0], NAN).applied and thor.step_number == 1
    assert "loss_scale" not in thor.state_dict() and not any(
        isinstance(graph, ScaledGradients) for graph in thor._graphs.values()
    )


def test_the_state_holds_scale_and_counter() -> None:
    batches = [mixed_batch(0), (mixed_batch(0)[0], NAN), *(mixed_batch(seed) for seed in (1, 2, 3, 4))]

    def new() -> Thor:
        return mixed(loss_scale="dynamic", loss_scale_window=3)

    first, second = new(), new()
    _, there = run(first, batches[:3])
    stored = first.state_dict()
    results, expected = run(first, batches[3:])
    for parameter in second.network.get_parameters():
        parameter.set_data(Tensor(there[parameter.name]))
    second.load_state_dict(stored)
    again, after = run(second, batches[3:])
    assert [result.loss_scale for result in again] == [result.loss_scale for result in results]
    assert [result.loss_scale for result in again] == [START / 2, START / 2, START]
    assert [result.overflows for result in again] == [1, 1, 1]
    assert_same_bits(after, expected)
    with pytest.raises(ConfigError, match="differ in loss_scale"):
        mixed().load_state_dict(stored)


def test_float16_gradients_that_would_be_lost() -> None:
    """Gradients of 1e-8 are 0 in float16; with the scale they are there, to its 11 bits."""

    def small(y: Tensor, target: Tensor) -> Tensor:
        return 1e-8 * squares(y.astype(ms.float32), target)

    def norm(scale: Any, precision: Any) -> float:
        network = kept(OneLayer(nn.Dense(6, 4)))
        for parameter in network.get_parameters():
            parameter.set_data(Tensor(normal(3, *parameter.shape)))
        network.to_float(precision)
        thor = kept(Thor(network, small, steps=5, name="adamw", loss_scale=scale))
        return float(thor.step(Tensor(normal(1, 5, 6)), Tensor(normal(2, 5, 4))).gradient_norm)

    exact = norm(1, ms.float32)
    assert norm(1, ms.float16) < 0.5 * exact
    assert norm("dynamic", ms.float16) == pytest.approx(exact, rel=2.0**-8)


def scales(events: str, window: int = 3, start: Any = "dynamic") -> list[float]:
    """S after each event: a step that was finite (.) or was not (x)."""
    scale, found = LossScale(start, window), []
    for event in events:
        scale.update(event == ".")
        found.append(scale.value)
    return found


def test_the_scale_is_halved_and_doubled() -> None:
    assert [s / START for s in scales("..x...x....")] == [1, 1, 0.5, 0.5, 0.5, 1, 0.5, 0.5, 0.5, 1, 1]
    assert scales("x" * 20)[-5:] == [LEAST] * 5
    assert scales("." * 20, window=1)[-5:] == [MOST] * 5
    assert scales("x.x", start=8.0) == [8.0] * 3


def test_what_auto_means() -> None:
    assert [scale_for("auto", precision) for precision in ("float32", "bfloat16", "float16")] == [1.0, 1.0, "dynamic"]
    assert [scale_for(choice, "float16") for choice in (1.0, 8.0, "dynamic")] == [1.0, 8.0, "dynamic"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"loss_scale": 0}, "loss_scale is 0: write dynamic, auto, or a number above 0"),
        ({"loss_scale": -1.0}, "loss_scale is -1.0"),
        ({"loss_scale": float("nan")}, "loss_scale is nan"),
        ({"loss_scale": "static"}, "loss_scale is static"),
        ({"loss_scale_window": 0}, "loss_scale_window is 0: it must be 1 step or more"),
    ],
)
def test_mistakes_get_one_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        mixed(**options)
