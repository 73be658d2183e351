"""N micro-batches are one batch: gradients, factors, state and weights, to the rounding of other sums."""

from __future__ import annotations

from functools import cache
from typing import Any

import mindspore as ms
import numpy as np
import pytest
from any_network import Mixed, Start, kept, normal, squares
from mindspore import Tensor, nn, ops
from precisions import needs_bfloat16

from bert_thor.errors import ConfigError
from bert_thor.optimizer import StepResult, Thor
from bert_thor.optimizer.accumulation import Accumulation, AddGradients, Clear
from bert_thor.optimizer.curvature.kronecker import KroneckerCurvature
from bert_thor.optimizer.loss_scale import START

Run = tuple[list[StepResult], dict[str, np.ndarray]]
SAMPLES, ROWS = 8, 32
EPSILON = 2.0**-24
STEPS = 4
"""Steps 0 and 2 refresh."""


@pytest.fixture(autouse=True)
def graph_mode() -> None:
    ms.set_context(mode=ms.GRAPH_MODE)


def batch(seed: int, samples: int = SAMPLES) -> tuple[Tensor, Tensor]:
    ids = np.random.default_rng(seed).integers(0, 11, (samples, 4)).astype(np.int32)
    return Tensor(ids), Tensor(normal(seed, samples, 4, 6))


def filled(network: nn.Cell) -> nn.Cell:
    generator = np.random.default_rng(0)
    for parameter in network.get_parameters():
        parameter.set_data(Tensor(0.3 * generator.standard_normal(parameter.shape).astype(np.float32)))
    return kept(network)


def mixed(network: type[nn.Cell] = Mixed, **options: Any) -> Thor:
    thor: Thor = kept(Thor(filled(network()), squares, **{"steps": 10, "block": 4, "refresh_interval": 2, **options}))
    return thor


def values(thor: Thor) -> dict[str, np.ndarray]:
    weights = {parameter.name: parameter.asnumpy().copy() for parameter in thor.network.get_parameters()}
    return {name: value for name, value in {**weights, **thor.state_dict()}.items() if name != "loss_scale"}


def run(thor: Thor) -> Run:
    results = [thor.step(*batch(number)) for number in range(STEPS)]
    return results, values(thor)


@cache
def whole(network: type[nn.Cell] = Mixed, **options: Any) -> Run:
    """A run without micro-batches."""
    return run(mixed(network, **options))


def assert_alike(thor: Thor, other: Run) -> list[StepResult]:
    """The same batches: every number within 64·ε per row of the largest one of its tensor."""
    tolerance = 64 * ROWS * EPSILON
    (results, found), (other_results, expected) = run(thor), other
    for ours, theirs in zip(results, other_results):
        assert abs(ours.loss - theirs.loss) <= tolerance * abs(theirs.loss)
        assert abs(ours.gradient_norm - theirs.gradient_norm) <= tolerance * theirs.gradient_norm
    assert found.keys() == expected.keys()
    differences = {name: np.abs(found[name] - expected[name]).max() for name in found}
    limits = {name: tolerance * np.abs(expected[name]).max() for name in found}
    assert [name for name in found if not differences[name] <= limits[name]] == []
    return results


@pytest.mark.parametrize(
    ("options", "accumulate"),
    [
        pytest.param({"first_order": ()}, 2, id="thor", marks=pytest.mark.long),
        pytest.param({"first_order": (), "damping_rule": "absolute"}, 8, id="thor absolute"),
        pytest.param({"first_order": (), "damping_rule": "absolute", "row_weights": "gradient"}, 4, id="thor weighted"),
        pytest.param({"name": "thor-2020"}, 4, id="thor-2020", marks=pytest.mark.long),
        pytest.param({"name": "thor-2021"}, 2, id="thor-2021"),
        pytest.param({"name": "lamb"}, 4, id="lamb"),
    ],
)
def test_micro_batches_are_one_batch(options: dict[str, Any], accumulate: int) -> None:
    """Tables with factors among them. (SOAP turns rounding into other eigenvectors; it sees the same gradients.)"""
    results = assert_alike(mixed(accumulate=accumulate, **options), whole(**options))
    assert all(result.applied and result.loss_scale == 1.0 for result in results)


@pytest.mark.parametrize("row_weights", ["none", "gradient"])
def test_a_loss_scale_changes_no_bit_of_it(row_weights: str) -> None:
    options = {"accumulate": 4, "first_order": (), "damping_rule": "absolute", "row_weights": row_weights}
    plain, scaled = mixed(**options), mixed(loss_scale="dynamic", loss_scale_window=1, **options)
    for number in range(STEPS):
        ours, theirs = scaled.step(*batch(number)), plain.step(*batch(number))
        assert (ours.loss, ours.gradient_norm) == (theirs.loss, theirs.gradient_norm)
        assert ours.loss_scale == START * 2**number
    found, expected = values(scaled), values(plain)
    assert all(found[name].tobytes() == expected[name].tobytes() for name in expected)


def test_an_overflow_in_one_micro_batch_changes_nothing_and_leaves_nothing_behind() -> None:
    spoiled = batch(0)[1].asnumpy()
    spoiled[3] = np.inf
    start = Start(mixed(accumulate=4, first_order=(), loss_scale="dynamic"))
    results, expected = run(start.thor)
    assert all(result.applied for result in results)
    thor = start.again()
    for number in range(STEPS):
        if number in (0, 1, 2):
            before = values(thor)
            assert not thor.step(batch(0)[0], Tensor(spoiled)).applied
            after = values(thor)
            assert all(after[name].tobytes() == before[name].tobytes() for name in before)
        assert thor.step(*batch(number)).applied
    found = values(thor)
    assert all(found[name].tobytes() == expected[name].tobytes() for name in expected)
    assert thor.loss_scale.value == START / 8


class Twice(nn.Cell):
    """One layer that is used twice, one that is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 6)
        self.layer, self.idle = nn.Dense(6, 6, activation="tanh"), nn.Dense(6, 6)

    def construct(self, ids: Tensor) -> Tensor:
        return self.layer(self.layer(self.table(ids)))


@pytest.mark.filterwarnings("ignore:the layers of idle.weight are not used")
def test_layers_that_are_used_twice_or_not_at_all() -> None:
    assert_alike(mixed(Twice, accumulate=2), whole(Twice))


def count_one_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = Accumulation.cut
    monkeypatch.setattr(Accumulation, "cut", lambda self, columns: [cut(self, columns)[0], *cut(self, columns)])


def take_one_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = Accumulation.cut
    monkeypatch.setattr(Accumulation, "cut", lambda self, columns: [cut(self, columns)[0]] * self.parts)


def keep_the_last_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(self: Any) -> bool:
        return True

    monkeypatch.setattr(Clear, "construct", nothing)


def weigh_each_as_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """G of the micro-batches' own losses, not of the whole batch's."""

    def scales(self: Any, samples: tuple[int, int]) -> list[float]:
        return [1.0 / samples[0] if self.table else 1.0, float(samples[0] ** 2)][: len(self.sides)]

    monkeypatch.setattr(KroneckerCurvature, "capture_scales", scales)


def add_in_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    def construct(self: Any, loss_scale: Tensor, *batch: Tensor) -> Any:
        losses, gradients = self.backward(loss_scale, *batch)
        for index in range(self.exchanged):
            total = (self.buffers[index] + gradients[index]).astype(ms.bfloat16)
            ops.assign(self.buffers[index], total.astype(ms.float32))
        return losses[1:], gradients[self.exchanged :]

    monkeypatch.setattr(AddGradients, "construct", construct)


@pytest.mark.parametrize(
    "fault",
    [
        count_one_twice,
        pytest.param(add_in_bfloat16, marks=needs_bfloat16),
        *(
            pytest.param(fault, marks=pytest.mark.long)
            for fault in (take_one_for_another, keep_the_last_step, weigh_each_as_a_batch)
        ),
    ],
)
def test_seeded_faults_are_found(monkeypatch: pytest.MonkeyPatch, fault: Any) -> None:
    expected = whole(first_order=(), damping_rule="absolute")
    fault(monkeypatch)
    broken = mixed(first_order=(), damping_rule="absolute", accumulate=2)
    with pytest.raises(AssertionError):
        assert_alike(broken, expected)


def test_buffers_exist_only_where_they_are_needed() -> None:
    assert mixed().accumulation is None
    thor = mixed(accumulate=2, first_order=())
    graphs = [thor.gradients(1, capturing) for capturing in (True, False)]
    assert all(isinstance(graph, AddGradients) for graph in graphs)
    buffers = {id(buffer): buffer for graph in graphs for buffer in graph.buffers}
    assert len(buffers) == len(thor.table) + len(thor.probes())
    assert not [name for name in thor.state_dict() if name.startswith("accumulated")]


def squares_and_largest(y: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    return squares(y, target), y.max()


def test_a_general_loss_is_the_mean_of_the_micro_batches() -> None:
    thor: Thor = kept(Thor(filled(Mixed()), squares_and_largest, steps=10, block=4, accumulate=2))
    outputs = thor.network(batch(0)[0]).asnumpy()
    result = thor.step(*batch(0))
    assert result.parts == (pytest.approx((outputs[:4].max() + outputs[4:].max()) / 2, rel=1e-6),)
    assert result.loss == pytest.approx(((outputs - batch(0)[1].asnumpy()) ** 2).mean(), rel=1e-6)


def test_mistakes_get_one_sentence() -> None:
    with pytest.raises(ConfigError, match="accumulate is 0: it must be 1 micro-batch or more"):
        mixed(accumulate=0)
    with pytest.raises(ConfigError, match=r"shape \(8, 4\) cannot be cut into accumulate=3 equal parts"):
        mixed(accumulate=3).step(*batch(0))
