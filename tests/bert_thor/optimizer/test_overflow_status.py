"""On a device that saturates an overflow is seen by its register: the compiled graph, and what follows from a flag of a stand-in."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import mindspore as ms
import numpy as np
import pytest
from any_network import Mixed, Start, kept, mixed_batch, squares
from compiled_graph import Graph, graph_of
from mindspore import Tensor, nn
from ranks import Ranks
from tiny_training import SIZES, batch, inputs_and_labels

from bert_thor.compat import use_graph_mode
from bert_thor.network.model import BertForPreTraining, PretrainingLoss
from bert_thor.ops import _backend
from bert_thor.optimizer import Thor, preset
from bert_thor.optimizer import thor as thor_module
from bert_thor.optimizer.loss_scale import START
from bert_thor.optimizer.overflow_status import ClearedStatus, OverflowFlag, WatchedExchange
from bert_thor.training.inputs import groups_of

PRODUCTS = 18 + 12
"""As in `test_precision_graph`, of one layer."""
LIMIT = 3.0 * START
"""The stand-in's flag is set where S·loss is above it: between the loss of `mixed_batch` times S, and ten times that."""


@pytest.fixture(autouse=True)
def on_a_device_that_saturates(monkeypatch: pytest.MonkeyPatch) -> None:
    use_graph_mode("CPU")
    monkeypatch.setattr(thor_module, "is_first_ascend_910", lambda device_target: True)


@pytest.fixture(params=[1, 2], ids=["step", "micro-batch"])
def graph(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Graph:
    """What a 910 gets: the backward pass of one layer in float16 with the TIK kernels, factors included."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_backend, "_first_usable", lambda operation, offered: offered[0])
    sizes = replace(SIZES, num_layers=1, hidden_dropout=0.1, attention_dropout=0.1)
    model = BertForPreTraining(sizes, 1, "float16")
    config = replace(preset("thor"), block=16, loss_scale="dynamic")
    thor = Thor(model, PretrainingLoss(), 1, config=config, groups=groups_of(sizes), accumulate=request.param)
    inputs, labels = inputs_and_labels(batch(0))
    gradients = thor.gradients(len(inputs), True)
    return graph_of(tmp_path, lambda: gradients.compile(*thor.loss_scale.inputs(), *inputs, *labels))


def test_the_register_is_cleared_before_and_read_after_all_that_computes_in_float16(graph: Graph) -> None:
    (allocate,), (clear,), (read,) = (graph.named(f"NPU{verb}FloatStatus") for verb in ("Alloc", "Clear", "Get"))
    before_clear, before_read = graph.needed_for(clear), graph.needed_for(read)
    assert allocate in before_clear and clear in before_read
    watched = {place for place in before_read - before_clear if place in graph}
    inputs = {name for name in before_clear if name not in graph}
    assert len(inputs) == 1 + sum(map(len, inputs_and_labels(batch(0))))  # S, and the columns of a batch
    users = [node for node in (graph[place] for place in watched) if inputs & set(node.arguments)]
    assert len(users) == len(inputs) - 1  # the place of the rows is for our own kernels' dropout on CPUs
    assert all(node.name == "Depend" and node.arguments[1] == clear for node in users)
    narrow = {place for place, node in graph.items() if "Float16" in node.kinds}
    assert narrow <= watched
    early = {place for place in narrow if clear not in graph.needed_for(place)}
    assert early and {graph[place].name for place in early} == {"Cast"}  # of weights
    assert len([place for place in narrow if graph[place].name in ("MatMul", "BatchMatMul")]) == PRODUCTS
    (behind,) = (place for place, node in graph.items() if read in node.arguments)
    assert graph[behind].name == "Depend" and behind in graph.needed_for(list(graph)[-1])


def test_elsewhere_the_graph_has_no_register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(thor_module, "is_first_ascend_910", lambda device_target: False)
    thor = mixed()
    gradients = thor.gradients(1, True)
    found = graph_of(tmp_path, lambda: gradients.compile(*thor.loss_scale.inputs(), *mixed_batch(0)))
    assert found and not any("FloatStatus" in node.name for node in found.values())


def test_without_a_loss_scale_nothing_is_watched() -> None:
    assert mixed().watched and not mixed(loss_scale=1).watched


def mixed(**options: Any) -> Thor:
    """An optimizer of a network with every kind of parameter, always from the same weights."""
    network = kept(Mixed())
    generator = np.random.default_rng(0)
    for parameter in network.get_parameters():
        parameter.set_data(Tensor(0.3 * generator.standard_normal(parameter.shape).astype(np.float32)))
    options = {"steps": 10, "block": 4, "refresh_interval": 2, "loss_scale": "dynamic", **options}
    thor: Thor = kept(Thor(network, squares, **options))
    return thor


def values(thor: Thor) -> dict[str, bytes]:
    """Weights, state and place in the schedule, without the scale."""
    weights = {parameter.name: parameter.asnumpy() for parameter in thor.network.get_parameters()}
    return {name: value.tobytes() for name, value in {**weights, **thor.state_dict()}.items() if name != "loss_scale"}


def as_they_are(self: Any, *tensors: Tensor) -> Any:
    """In place of the operator that clears."""
    return tensors[0], tensors


def large_loss(self: Any, status: Tensor, results: Any) -> Tensor:
    """In place of the operator that reads."""
    return (results[0] > LIMIT).astype(ms.float32)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClearedStatus, "construct", as_they_are)
    monkeypatch.setattr(OverflowFlag, "construct", large_loss)


@cache
def compiled(accumulate: int, watched: bool) -> Start:
    """With the stand-ins' graphs: these are compiled in the first steps."""
    with mock.patch.object(thor_module, "is_first_ascend_910", lambda device_target: watched):
        start = Start(mixed(accumulate=accumulate))
        for number in range(2):
            start.thor.step(*four(mixed_batch(number)))
    return start


def from_the_start(accumulate: int, watched: bool = True) -> Thor:
    return compiled(accumulate, watched).again()


def larger(samples: slice) -> tuple[Tensor, Tensor]:
    """The first batch with targets of these samples that make the loss more than ten times as large."""
    inputs, targets = (column.asnumpy().copy() for column in mixed_batch(0))
    targets[samples] *= 8
    return Tensor(inputs), Tensor(targets)


def four(columns: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The first four samples: they can be halved."""
    return columns[0][:4], columns[1][:4]


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    ("accumulate", "samples"),
    [(1, slice(None)), (2, slice(None)), (2, slice(2)), (2, slice(2, 4))],
    ids=["one batch", "both micro-batches", "the first one", "the second one"],
)
def test_a_step_whose_flag_is_set_changes_nothing_but_the_scale(accumulate: int, samples: slice) -> None:
    other = from_the_start(accumulate)
    expected = [other.step(*four(mixed_batch(number))) for number in range(3)]
    afterwards = values(other)
    thor = from_the_start(accumulate)
    before = values(thor)
    result = thor.step(*four(larger(samples)))
    assert np.isfinite(result.loss) and result.gradient_norm == np.inf and not result.applied
    assert values(thor) == before
    assert (thor.loss_scale.value, thor.loss_scale.overflows, thor.step_number) == (START / 2, 1, 0)
    for number, theirs in enumerate(expected):
        ours = thor.step(*four(mixed_batch(number)))
        assert ours.applied and theirs.applied and ours.loss == theirs.loss and ours.parts == theirs.parts
    assert values(thor) == afterwards != before
    assert from_the_start(accumulate, watched=False).step(*four(larger(samples))).applied


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_clear_flag_changes_no_bit(accumulate: int) -> None:
    watched, plain = from_the_start(accumulate), from_the_start(accumulate, watched=False)
    for number in range(3):
        ours, theirs = watched.step(*four(mixed_batch(number))), plain.step(*four(mixed_batch(number)))
        assert (ours.loss, ours.parts, ours.gradient_norm) == (theirs.loss, theirs.parts, theirs.gradient_norm)
    assert watched.watched and not plain.watched and values(watched) == values(plain)


@pytest.mark.usefixtures("stand_in")
def test_factors_for_the_choice_of_a_block_are_those_of_a_scale_without_a_flag() -> None:
    thor = mixed()
    thor.capture(*larger(slice(None)))
    assert thor.loss_scale.value < START


class Doubled(nn.Cell):
    """In place of a sum over two equal ranks."""

    active = True

    def __init__(self) -> None:
        super().__init__()
        self.sum_numbers = Twice()

    def construct(self, losses: Any, gradients: Any) -> Any:
        return (losses[0] * 2, losses[1] * 2), (gradients[0] * 2,)


class Twice(nn.Cell):
    def construct(self, numbers: Tensor) -> Any:
        return (numbers * 2,)


@pytest.mark.parametrize(
    ("loss", "flag", "expected"),
    [(1.0, 0.0, 0.0), (1.0, 1.0, 2.0), (LIMIT, 0.0, 2.0), (LIMIT, 1.0, 4.0)],
    ids=["none", "before", "in the sum", "both"],
)
@pytest.mark.usefixtures("stand_in")
def test_an_overflow_of_the_sums_over_ranks_joins_the_flag(loss: float, flag: float, expected: float) -> None:
    numbers = Tensor(np.float32(loss)), Tensor(np.float32(flag))
    watched: Any = WatchedExchange(kept(Doubled()))
    (total, found), (gradient,) = watched(numbers, (Tensor(np.ones(3, np.float32)),))
    assert (float(total.asnumpy()), float(found.asnumpy())) == (2 * loss, expected)
    assert gradient.asnumpy().tolist() == [2.0] * 3


def test_the_register_is_cleared_after_the_backward_pass_and_read_after_the_sums_over_ranks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    numbers, gradient = (Tensor(np.float32(1)), Tensor(np.float32(0))), (Tensor(np.ones(3, np.float32)),)
    watched: Any = WatchedExchange(kept(Doubled()))
    graph = graph_of(tmp_path, lambda: watched.compile(numbers, gradient))
    (clear,), (read,) = graph.named("NPUClearFloatStatus"), graph.named("NPUGetFloatStatus")
    doubled = [place for place, node in graph.items() if node.name in ("Mul", "Muls")]
    assert len(doubled) == 4  # two losses, the gradient, and the sum of the flags after it
    assert [clear in graph.needed_for(place) for place in doubled] == [True] * 4
    assert [read in graph.needed_for(place) for place in doubled].count(True) == 1
    assert len(graph.needed_for(read) & set(doubled)) == 3


PROGRAM = """
import json, sys
import numpy as np
from mindspore import Tensor
import test_overflow_status as own
from bert_thor.compat import use_graph_mode
from bert_thor.optimizer import thor as thor_module
from bert_thor.optimizer.overflow_status import ClearedStatus, OverflowFlag
from bert_thor.parallel.world import join_world

use_graph_mode("CPU")
thor_module.is_first_ascend_910 = lambda device_target: True
ClearedStatus.construct, OverflowFlag.construct = own.as_they_are, own.large_loss
world = join_world()
thor = own.mixed(world=world, exchange_precision=sys.argv[1])
found = []
for large in (-1, 1, 0, -1):  # the rank that overflows
    result = thor.step(*own.four(own.larger(slice(None)) if large == world.rank else own.mixed_batch(0)))
    found.append([result.applied, thor.loss_scale.value, thor.step_number])
print(json.dumps(found), flush=True)
"""


def test_all_ranks_drop_the_step_in_which_one_overflows(tmp_path: Path) -> None:
    paths = f"import sys; sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}\n"
    for _ in range(3):
        with Ranks(2, tmp_path, [sys.executable, "-c", paths + PROGRAM, "float32"]) as group:
            statuses = group.wait(240.0)
            logs = [group.log(rank) for rank in range(2)]
        if not any("The state of the cluster is error" in log for log in logs):
            break
    assert statuses == [0, 0], "\n".join(logs)
    ours, theirs = (json.loads(next(line for line in log.splitlines() if line.startswith("[["))) for log in logs)
    assert ours == theirs == [[True, START, 1], [False, START / 2, 1], [False, START / 4, 1], [True, START / 4, 2]]
