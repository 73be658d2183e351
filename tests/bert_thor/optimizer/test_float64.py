"""Steps of every optimizer equal a float64 restatement that shares no code with them; broken optimizers do not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
from float64_bert import Float64Bert
from tiny_training import BLOCK, EPSILON, LENGTH, MASKED, SEQUENCES, SIZES, TinyTraining, batch, edge, inputs_and_labels

from bert_thor.ops import _backend, softmax_cross_entropy
from bert_thor.optimizer import Thor, preset
from bert_thor.optimizer import thor as thor_module

TEST_EPSILON = 1e-3
"""Adam's ε here: with 1e-8 an element whose exact gradient is 0 (a key bias) would move by the sign of its rounding error."""


def config(name: str, **changes: Any) -> Any:
    changes = {"epsilon": TEST_EPSILON, "refresh_interval": 2, **changes}
    return replace(preset(name), **changes)


@pytest.fixture(scope="module")
def thor() -> TinyTraining:
    return TinyTraining(config("thor", warmup=0.1))


@pytest.fixture(scope="module")
def original() -> TinyTraining:
    return TinyTraining(config("thor-2021"))


def test_the_restated_gradients_are_those_of_finite_differences(thor: TinyTraining) -> None:
    """The yardstick itself: central differences in float64, h² and rounding errors bounded by 1e-6 of the largest gradient."""
    thor.reset()
    weights = {name: value.astype(np.float64) for name, value in thor.weights().items()}
    columns = batch(0)
    exact = Float64Bert(weights, SIZES.num_heads).run(columns)
    r, h = np.random.default_rng(5), 1e-5
    for name, value in weights.items():
        place = tuple(int(r.integers(0, size)) for size in value.shape)
        losses = []
        for sign in (1, -1):
            moved = value.copy()
            moved[place] += sign * h
            losses.append(Float64Bert({**weights, name: moved}, SIZES.num_heads).run(columns).loss)
        difference = (losses[0] - losses[1]) / (2 * h)
        assert abs(difference - exact.gradients[name][place]) <= 1e-6, name


def test_loss_gradients_and_factors_of_every_layer(original: TinyTraining) -> None:
    """A and G of dense layers, tables and the classifier: the captured blocks are those of XᵀX/N and DᵀD/N in float64."""
    original.reset()
    found = original.gradient_pass(0)
    thor = original.thor
    inputs, labels = inputs_and_labels(batch(0))
    losses, _, gradients, factors, _ = thor.gradients(len(inputs), True)(*inputs, *labels)
    assert abs(float(losses[0].asnumpy()) - found.loss) <= 64 * EPSILON * found.loss
    for entry, gradient in zip(thor.table, gradients):
        exact = found.gradients[entry.spec.name]
        scale = max(np.abs(exact).max(), 1e-3)
        assert (np.abs(gradient.asnumpy() - exact) <= 64 * SEQUENCES * LENGTH * EPSILON * scale).all()
    captured = iter(factors)
    for layer in layers_of(thor):
        for side in layer.sides:
            check_factor(next(captured).asnumpy(), found, layer.spec.name, side)


def test_factors_with_rows_weighed_by_their_gradients() -> None:
    """A of dense layers, of both tables and of the classifier: Σ ‖d‖² x xᵀ / N in float64; G as ever."""
    training = TinyTraining(config("thor-2021", row_weights="gradient"))
    found = training.gradient_pass(0)
    factors = iter(training.thor.capture(*inputs_and_labels(batch(0)))[0])
    sides = [(layer.spec.name, side) for layer in layers_of(training.thor) for side in layer.sides]
    for name, side in sides:
        check_factor(next(factors), found, name, side, weighted=True)
    assert any("table" in name for name, _ in sides) and ("next_sentence.weight", "A") in sides


@pytest.mark.parametrize("row_weights", ["gradient", "none"])
def test_padding_and_empty_predictions_have_no_part_in_weighted_factors(row_weights: str) -> None:
    """Other tokens where the mask is 0, other places and words where a prediction has no weight: the bits stay; of none A's do not."""
    training = TinyTraining(config("thor-2021", row_weights=row_weights))
    columns = batch(0)
    ids, mask, types, positions, labels, weights, _ = (column.copy() for column in columns)
    assert (mask == 0).any() and (weights == 0).any()
    ids[mask == 0], types[mask == 0] = 7, 1
    positions[weights == 0], labels[weights == 0] = 1, 3
    before, _ = training.thor.capture(*inputs_and_labels(columns))
    after, _ = training.thor.capture(*inputs_and_labels((ids, mask, types, positions, labels, weights, columns[-1])))
    sides = [f"{side} {layer.spec.name}" for layer in layers_of(training.thor) for side in layer.sides]
    changed = {name for name, ours, theirs in zip(sides, before, after) if ours.tobytes() != theirs.tobytes()}
    if row_weights == "gradient":
        assert changed == set()
    else:
        expected = {"A transform.weight", "A bert.layers.0.attention_output.weight", "A bert.embedding.token_table"}
        assert expected <= changed and all(name.startswith("A") for name in changed)


def layers_of(thor: Thor) -> Any:
    assert thor.curvatures is not None
    return thor.curvatures.layers


def check_factor(blocks: np.ndarray, found: Any, name: str, side: str, weighted: bool = False) -> None:
    rows, d = found.inputs[name] if side == "A" else found.output_gradients[name], found.output_gradients[name]
    weights = (d**2).sum(1) if weighted and side == "A" else np.ones(len(rows))
    if rows.ndim == 1:
        exact = np.bincount(rows, weights, minlength=len(blocks))
        error = 64 * len(rows) * EPSILON * weights.max() if weighted else 0.0
        assert (np.abs(blocks[:, 0, 0] - exact) <= error).all()
        return
    rows = rows * np.sqrt(weights)[:, None]
    exact, size = rows.T @ rows / len(rows), blocks.shape[1]
    tolerance = 2 * EPSILON * 64 * (len(rows) + 1) * np.abs(rows).max() ** 2
    for index, block in enumerate(blocks):
        here = exact[index * size : (index + 1) * size, index * size : (index + 1) * size]
        assert (np.abs(block[: len(here), : len(here)] - here) <= tolerance).all(), (name, side, index)
        assert (block[len(here) :] == 0).all() and (block == block.T).all()


def test_thor(thor: TinyTraining) -> None:
    assert thor.largest_error(5, 2) <= 1


def test_thor_2021(original: TinyTraining) -> None:
    assert original.largest_error(5, 2) <= 1


def test_thor_2020_in_blocks_that_divide_nothing() -> None:
    """16 features in blocks of 6 (of query, key and value in blocks of 4): padding in every factor and in the tables."""
    training = TinyTraining(config("thor-2020"), block=6, layers=1)

    def block_edge(features: int, groups: int) -> int:
        return min(6, features) if groups == 1 else 4

    assert training.largest_error(4, 2, block_edge=block_edge) <= 1
    training.config = replace(config("thor-2021"), block=6)
    assert training.largest_error(4, 2, block_edge=block_edge) > 10  # the next generation is another one


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("thor", {"damping_rule": "pi", "damping": 0.05}),
        ("thor", {"row_weights": "gradient"}),
        ("thor", {"row_weights": "gradient", "damping_rule": "pi", "damping": 0.05}),
        ("thor-2021", {"row_weights": "gradient"}),
        ("sgd", {"weight_decay": 0.1}),
        ("adamw", {}),
        ("lamb", {}),
        ("muon", {}),
    ],
)
def test_other_rules(name: str, changes: dict[str, Any]) -> None:
    assert TinyTraining(config(name, **changes), layers=1).largest_error(4, 2) <= 1


@pytest.mark.parametrize(
    "name", ["thor", *(pytest.param(name, marks=pytest.mark.long) for name in ("thor-2020", "adamw", "lamb"))]
)
def test_the_frameworks_own_operators(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Network and optimizer as they run on a device: of our kernels only the inverse."""
    monkeypatch.setenv(_backend.VARIABLE, "mindspore")
    training = TinyTraining(config(name), layers=1)
    assert isinstance(training.thor.loss.cross_entropy, softmax_cross_entropy.SoftmaxCrossEntropyMindSpore)
    assert training.largest_error(4, 2) <= 1


def test_whole_blocks_without_averaging_are_k_fac() -> None:
    """vec(ΔW) = (A ⊗ G damped)⁻¹ vec(dW), the Kronecker product written out (Martens & Grosse, 2015, with their π)."""
    changes = {"factor_decay": 0.0, "momentum": 0.0, "update_rms": 0.0, "clip_norm": 0.0, "weight_decay": 0.0}
    training = TinyTraining(config("thor", damping_rule="pi", damping=0.3, warmup=0.0, **changes), block=0, layers=1)
    found = training.gradient_pass(0)
    before = training.weights()
    training.step(0)
    after = training.weights()
    for name in ("bert.layers.0.attention_output.weight", "bert.layers.0.intermediate.weight", "pooler.weight"):
        x, d = found.inputs[name], found.output_gradients[name] * SEQUENCES
        a, g = x.T @ x / len(x), d.T @ d / len(d)
        pi = np.sqrt((np.trace(a) / len(a)) / (np.trace(g) / len(g)))
        damped_a, damped_g = a + pi * np.sqrt(0.3) * np.eye(len(a)), g + np.sqrt(0.3) / pi * np.eye(len(g))
        fisher = np.kron(damped_g, damped_a)  # row-major vec(G dW A) = (G ⊗ A) vec(dW)
        direction = np.linalg.solve(fisher, found.gradients[name].reshape(-1)).reshape(before[name].shape)
        expected = -training.config.learning_rate * direction
        relative = 64 * SEQUENCES * LENGTH + 8 * len(a) * (np.linalg.cond(damped_a, 1) + np.linalg.cond(damped_g, 1))
        tolerance = EPSILON * (relative * np.abs(expected).max() + 4 * np.abs(before[name]).max())
        assert (np.abs(after[name] - before[name] - expected) <= tolerance).all(), name


@contextmanager
def refresh_off_by_one(thor: Thor) -> Iterator[None]:
    with mock.patch.object(thor.curvatures, "captures", lambda step: step == 0 or step % 2 == 1):
        yield


@contextmanager
def stale_inverse(thor: Thor) -> Iterator[None]:
    """The factors are averaged, but after the first refresh nothing is inverted."""
    curvatures, first = thor.curvatures, []
    invert = curvatures._invert  # type: ignore[union-attr]

    def once(*arguments: Any) -> None:
        if not first:
            invert(*arguments)
        first.append(True)

    with mock.patch.object(curvatures, "_invert", once):
        yield


@contextmanager
def missing_damping(thor: Thor) -> Iterator[None]:
    with mock.patch.object(thor_module, "damping", lambda *_: 1e-6):
        yield


@contextmanager
def factors_of_the_wrong_layer(thor: Thor) -> Iterator[None]:
    """A of the output projection and of the transform, both of the same shape, change places."""
    curvatures = thor.curvatures
    names = [layer.spec.name for layer in layers_of(thor)]
    starts = np.cumsum([0, *(len(layer.sides) for layer in layers_of(thor))])
    first, second = (
        starts[names.index(name)] for name in ("bert.layers.0.attention_output.weight", "transform.weight")
    )
    refresh = curvatures.refresh  # type: ignore[union-attr]

    def swapped(moment: Any) -> Any:
        order = list(range(len(moment.captured)))
        order[first], order[second] = second, first
        return refresh(replace(moment, captured=[moment.captured[index] for index in order]))

    with mock.patch.object(curvatures, "refresh", swapped):
        yield


@contextmanager
def factor_g_without_scale(thor: Thor) -> Iterator[None]:
    curvatures = thor.curvatures
    refresh = curvatures.refresh  # type: ignore[union-attr]

    def unscaled(moment: Any) -> Any:
        return refresh(replace(moment, samples=(moment.samples[0], 1)))

    with mock.patch.object(curvatures, "refresh", unscaled):
        yield


@contextmanager
def no_average(thor: Thor) -> Iterator[None]:
    with mock.patch.object(thor.curvatures, "config", replace(thor.config, factor_decay=0.0)):
        yield


@contextmanager
def schedule_off_by_one(thor: Thor) -> Iterator[None]:
    rate, first_rate = thor.rate, thor.first_rate
    later = {"rate": lambda step: rate(step + 1), "first_rate": lambda step: first_rate(step + 1)}
    with mock.patch.multiple(thor, **later):
        yield


@contextmanager
def no_clip(thor: Thor) -> Iterator[None]:
    with mock.patch.object(thor, "config", replace(thor.config, clip_norm=0.0)):
        yield


@pytest.mark.parametrize(
    "mutation",
    [
        refresh_off_by_one,
        stale_inverse,
        missing_damping,
        factors_of_the_wrong_layer,
        no_average,
        schedule_off_by_one,
        no_clip,
    ],
)
def test_a_broken_thor_is_caught(thor: TinyTraining, mutation: Any) -> None:
    assert thor.largest_error(5, 2, mutation) > 10


@pytest.mark.parametrize(
    "mutation", [refresh_off_by_one, stale_inverse, missing_damping, factors_of_the_wrong_layer, factor_g_without_scale]
)
def test_a_broken_original_is_caught(original: TinyTraining, mutation: Any) -> None:
    assert original.largest_error(5, 2, mutation) > 10


def test_other_choices_are_other_steps() -> None:
    """The named choices are not cosmetic: with one of the two taken back the restatement is another one."""
    changes = {"update_rms": 0.1, "damping_rule": "absolute"}
    training = TinyTraining(config("thor", **changes), layers=1)
    assert training.largest_error(4, 2) <= 1
    for kept in changes:
        training.config = replace(config("thor", **{kept: changes[kept]}), block=BLOCK)
        assert training.largest_error(4, 2) > 10, kept


def test_without_its_clipping_the_second_generation_is_another_one() -> None:
    training = TinyTraining(config("thor-2021", clip_norm=0.0), layers=1)
    training.config = replace(config("thor-2021"), block=BLOCK)
    assert training.largest_error(4, 2) > 10


def test_sizes_exercise_padding_and_several_blocks() -> None:
    assert SIZES.intermediate_size % BLOCK != 0 and SIZES.hidden_size == 2 * BLOCK
    assert edge(3 * SIZES.hidden_size, 3) == BLOCK and MASKED < LENGTH
