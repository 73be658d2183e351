"""The host's part of a refresh: trace rule, ladder, checkpointed state, dropped steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mindspore import Tensor
from tiny_training import SIZES, STEPS, TinyTraining, batch

from bert_thor.errors import TrainingError
from bert_thor.optimizer import preset


@pytest.fixture(scope="module")
def traced() -> TinyTraining:
    config = replace(preset("thor"), refresh_interval=1, trace_recompute=0.05, trace_freeze=0.0)
    return TinyTraining(config, layers=1)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> TinyTraining:
    config = replace(preset("thor"), refresh_interval=1)
    return TinyTraining(config, layers=1, failures=tmp_path_factory.mktemp("failures"))


def inverses(training: TinyTraining) -> dict[str, np.ndarray]:
    return {p.name: p.asnumpy().copy() for p in training.thor.state() if p.name.startswith("inverse_")}


def test_trace_rule_decides_per_layer_and_says_so(traced: TinyTraining) -> None:
    traced.reset()
    first = traced.step(0).curvature
    assert first is not None and first.recomputed == 6 and first.reused == first.frozen == 0
    assert {decision for _, decision in first.decisions.values()} == {"recompute"}
    reused = 0
    for number in range(1, 12):
        before = inverses(traced)
        report = traced.step(number).curvature
        assert report is not None and report.recomputed + report.reused + report.frozen == 6
        reused += report.reused
        for name, (change, decision) in report.decisions.items():
            assert change is not None and (decision == "recompute") == (change > 0.05)
            same = all(
                (inverses(traced)[f"inverse_{side}.{name}"] == before[f"inverse_{side}.{name}"]).all() for side in "ag"
            )
            assert same == (decision != "recompute")
    assert 0 < reused < 66


def test_a_frozen_layer_stays_frozen_and_all_frozen_layers_end_the_captures(traced: TinyTraining) -> None:
    traced.reset()
    traced.step(0)
    curvatures = traced.thor.curvatures
    assert curvatures is not None
    for layer in curvatures.layers[:-1]:
        layer.trace.set_data(Tensor(np.float32([1.0, 1.0])))
    report = traced.step(1).curvature
    assert report is not None and report.frozen == 5
    assert [decision for _, decision in report.decisions.values()].count("frozen") == 5
    curvatures.layers[-1].trace.set_data(Tensor(np.float32([1.0, 1.0])))
    result = traced.step(2)
    assert result.curvature is None and not result.refreshed and result.applied


def break_factor(training: TinyTraining, name: str, value: float) -> None:
    """Make block 0 of a factor indefinite, or not a number: a diagonal element becomes `value` times the largest one."""
    factor = next(p for p in training.thor.state() if p.name == name)
    broken = factor.asnumpy().copy()
    size = np.nanmax(np.abs(broken))
    broken[0] = np.eye(broken.shape[1]) * size
    broken[0, 1, 1] = value * size
    factor.set_data(Tensor(broken))


def test_the_ladder_repairs_a_block_by_more_damping(plain: TinyTraining) -> None:
    plain.reset()
    assert plain.step(0).failed_blocks == 0
    break_factor(plain, "factor_a.transform.weight", -3.0)
    result = plain.step(1)
    assert result.failed_blocks == 1 and result.applied and result.curvature is not None
    assert set(result.curvature.rungs) <= {"damping_x10", "damping_x100", "damping_x1000"}
    assert all(np.isfinite(value).all() for value in inverses(plain).values())


def test_a_block_keeps_its_inverse_three_times_and_then_stops_the_run(plain: TinyTraining) -> None:
    plain.reset()
    plain.step(0)
    before = inverses(plain)["inverse_g.pooler.weight"]
    for number in range(1, 4):
        break_factor(plain, "factor_g.pooler.weight", np.nan)
        report = plain.step(number).curvature
        assert report is not None and report.rungs["kept"] >= 1
        assert (inverses(plain)["inverse_g.pooler.weight"][0] == before[0]).all()
    break_factor(plain, "factor_g.pooler.weight", np.nan)
    with pytest.raises(TrainingError, match=r"block 0 of factor_g.pooler.weight could not be inverted in 4 refreshes"):
        plain.step(4)
    assert plain.thor.curvatures is not None
    saved = list(Path(plain.thor.curvatures.failures).glob("not-invertible-factor_g.pooler.weight-0.npy"))
    assert len(saved) == 1 and np.isnan(np.load(saved[0])[1, 1])


def test_one_good_refresh_forgives_the_kept_ones(plain: TinyTraining) -> None:
    plain.reset()
    plain.step(0)
    kept = next(p for p in plain.thor.state() if p.name == "kept_inverses.pooler.weight")
    kept.set_data(Tensor(np.full(kept.shape, 3, np.float32)))
    assert plain.step(1).failed_blocks == 0
    assert (kept.asnumpy() == 0).all()


def test_a_step_that_is_not_finite_changes_nothing(plain: TinyTraining) -> None:
    plain.reset()
    plain.step(0)
    everything = {p.name: p.asnumpy().copy() for p in plain.parameters}
    columns = list(batch(1))
    columns[5] = np.full_like(columns[5], np.nan)
    result = plain.step_on(1, columns)
    assert not result.applied and not result.refreshed and result.curvature is None
    assert all((p.asnumpy() == everything[p.name]).all() for p in plain.parameters)


def test_the_first_capture_is_taken_whole_whenever_it_comes(plain: TinyTraining) -> None:
    plain.reset()
    assert plain.step(3).refreshed
    late = {p.name: p.asnumpy().copy() for p in plain.thor.state() if p.name.startswith("factor_")}
    plain.reset()
    found = plain.gradient_pass(3)
    for name in ("transform.weight", "pooler.weight"):
        rows = found.inputs[name]
        trace = np.trace(rows.T @ rows / len(rows))
        assert abs(np.trace(late[f"factor_a.{name}"].sum(0)) - trace) <= 2.0**-24 * 64 * len(rows) * trace


def test_state_names_are_unique_and_complete(plain: TinyTraining) -> None:
    names = [p.name for p in plain.thor.state()]
    assert len(names) == len(set(names))
    kinds = {name.split(".", 1)[0] for name in names}
    assert kinds == {
        *("momentum", "first_moment", "second_moment", "inverse_a", "inverse_g"),
        *("factor_a", "factor_g", "kept_inverses", "trace"),
    }


def test_soap_steps_in_its_eigenbasis() -> None:
    """Bases orthogonal and those of qr(F Q); the first step leaves the matrices; then Adam on Qₗᵀ g Qᵣ, rotated back."""
    config = replace(preset("soap"), refresh_interval=2, epsilon=1e-3, warmup=0.0, clip_norm=0.0, weight_decay=0.0)
    training = TinyTraining(config, layers=1)
    rule = next(rule for rule in training.thor.rules if rule.weight.name == "transform.weight")
    name, start = rule.weight.name, training.weights()
    moments: dict[str, Any] = {"m": 0.0, "v": 0.0, "L": 0.0, "R": 0.0}
    for number in range(4):
        gradient = training.gradient_pass(number).gradients[name]
        training.step(number) if number == 0 else None
        left, right = (
            np.float64(basis.asnumpy()[0]) for basis in (rule.curvature.basis_left, rule.curvature.basis_right)
        )
        before = training.weights()[name] if number else start[name]
        expected = soap_step(before, gradient, (left, right), moments, number, config)
        if number:
            training.step(number)
        difference = np.abs(training.weights()[name] - expected).max()
        assert difference <= 2.0**-24 * (4096 * config.learning_rate + 4 * np.abs(before).max()), number
        for basis, factor, old in ((rule.curvature.basis_left, "L", left), (rule.curvature.basis_right, "R", right)):
            new = np.float64(basis.asnumpy()[0])
            assert (np.abs(new.T @ new - np.eye(SIZES.hidden_size)) <= 1e-5).all()
            if number == 2:
                rotated = np.linalg.qr(moments[factor] @ old)[0]
                assert (np.abs(np.abs((rotated * new).sum(0))[:2] - 1) <= 1e-3).all()  # the two leading directions
            elif number:
                assert (new == old).all()


def soap_step(w: Any, g: Any, bases: Any, state: dict[str, Any], number: int, config: Any) -> Any:
    left, right = bases
    state["m"] = config.beta1 * state["m"] + (1 - config.beta1) * g
    state["v"] = config.beta2 * state["v"] + (1 - config.beta2) * (left.T @ g @ right) ** 2
    state["L"] = config.beta2 * state["L"] + (1 - config.beta2) * g @ g.T
    state["R"] = config.beta2 * state["R"] + (1 - config.beta2) * g.T @ g
    if number == 0:
        return np.float64(w)
    m = left.T @ state["m"] @ right / (1 - config.beta1 ** (number + 1))
    u = m / (np.sqrt(state["v"] / (1 - config.beta2 ** (number + 1))) + config.epsilon)
    rate = config.learning_rate * (STEPS - number) / STEPS
    return w - rate * left @ u @ right.T
