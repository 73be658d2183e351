"""THOR on networks that know nothing of it: the network stays as it was, and it is trained, stopped and resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import mindspore as ms
import numpy as np
import pytest
from any_network import Mixed, OneLayer, kept, mixed_batch, normal, squares
from mindspore import Tensor, nn

from bert_thor.errors import ConfigError
from bert_thor.optimizer import Thor, choose_block


@pytest.fixture(autouse=True)
def graph_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MindSpore leaves files in the working directory."""
    monkeypatch.chdir(tmp_path)
    ms.set_context(mode=ms.GRAPH_MODE)
    ms.set_seed(1)


def test_the_network_stays_as_it_was() -> None:
    network = kept(Mixed())
    ids, _ = mixed_batch(0)
    before = network(ids).asnumpy()
    names = [name for name, _ in network.parameters_and_names()]
    cells = [name for name, _ in network.cells_and_names()]
    kept(Thor(network, squares, steps=10, block=4))
    assert (network(ids).asnumpy() == before).all()
    assert [name for name, _ in network.parameters_and_names()] == names
    assert [name for name, _ in network.cells_and_names()] == cells


def test_what_is_not_covered_is_first_order_and_listed() -> None:
    thor = kept(Thor(Mixed(), squares, steps=10, block=4))
    rules = {entry.spec.name: (entry.spec.kind, entry.rule.label) for entry in thor.table}
    assert rules == {
        "table.embedding_table": ("table", "adam"),
        "first.weight": ("dense", "kronecker"),
        "first.bias": ("bias", "adam"),
        "norm.gamma": ("norm", "adam"),
        "norm.beta": ("norm", "adam"),
        "second.weight": ("dense", "kronecker"),
        "convolution.weight": ("other", "adam"),
        "bare": ("other", "adam"),
    }
    assert "convolution.weight" in thor.describe() and "8 parameters, 2 preconditioned" in thor.describe()
    with pytest.raises(ConfigError, match=r"bare of shape .* has no rule of its own with thor"):
        Thor(Mixed(), squares, steps=10, strict=True)
    kept(Thor(Mixed(), squares, steps=10, strict=True, first_order=("bias", "norm", "table", "other")))


@pytest.mark.parametrize("mode", [ms.GRAPH_MODE, ms.PYNATIVE_MODE], ids=["graph", "pynative"])
def test_it_learns_in_both_modes(mode: int) -> None:
    ms.set_context(mode=mode)
    thor = kept(Thor(Mixed(), squares, steps=30, block=4, refresh_interval=5, learning_rate=0.05))
    results = [thor.step(*mixed_batch(0)) for _ in range(30)]
    assert [number for number, result in enumerate(results) if result.refreshed] == [0, 5, 10, 15, 20, 25]
    assert results[-1].loss < 0.5 * results[0].loss and all(result.applied for result in results)


def test_groups_are_scaled_one_by_one_and_share_no_block_of_g() -> None:
    """A fused layer whose parts have gradients of very different size: each part's step has the wanted RMS."""

    def uneven(y: Tensor, target: Tensor) -> Tensor:
        return ((y - target) ** 2 * Tensor(np.float32([1e4, 1e4, 1, 1, 1e-4, 1e-4]))).mean()

    network = kept(OneLayer(nn.Dense(8, 6, has_bias=False)))
    before = network.layer.weight.asnumpy().copy()
    options = {"learning_rate": 0.1, "warmup": 0.0, "weight_decay": 0.0, "clip_norm": 0.0, "block": 4}
    thor = kept(Thor(network, uneven, steps=10, groups={"layer.*": 3}, **options))
    thor.step(Tensor(normal(1, 9, 8)), Tensor(normal(2, 9, 6)))
    for part in np.split(network.layer.weight.asnumpy() - before, 3):
        assert abs(np.sqrt((part.astype(np.float64) ** 2).mean()) / (0.1 * 0.2) - 1) <= 1e-3
    shapes = {p.name: p.shape for p in thor.state()}
    assert shapes["factor_g.layer.weight"] == (3, 2, 2) and shapes["factor_a.layer.weight"] == (2, 4, 4)


@pytest.mark.parametrize("name", ["thor", "soap", pytest.param("adamw", marks=pytest.mark.long)])
def test_a_resumed_run_continues_bit_for_bit(name: str) -> None:
    """state_dict and the network's own parameters are all that there is."""

    def run(thor: Thor, first: int, last: int) -> list[float]:
        return [thor.step(*mixed_batch(number)).loss for number in range(first, last)]

    whole = kept(Thor(Mixed(), squares, steps=12, block=4, refresh_interval=3, name=name))

    def network_of(values: dict[str, np.ndarray]) -> nn.Cell:
        network = Mixed()
        for parameter in network.get_parameters():
            parameter.set_data(Tensor(values[parameter.name]))
        return network

    run(whole, 0, 5)
    stored = whole.state_dict(), {p.name: p.asnumpy().copy() for p in whole.network.get_parameters()}
    expected = run(whole, 5, 10)
    resumed = kept(Thor(network_of(stored[1]), squares, steps=12, block=4, refresh_interval=3, name=name))
    resumed.load_state_dict(stored[0])
    assert run(resumed, 5, 10) == expected


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    thor = kept(Thor(Mixed(), squares, steps=5, block=4))
    state = thor.state_dict()
    for name, value in (("momentum.first.weight", np.zeros((2, 2))), ("momentum.other", np.zeros(1))):
        with pytest.raises(ConfigError, match=name):
            thor.load_state_dict({**state, "step": np.array(7), name: value})
    assert thor.step_number == 0


def test_it_is_a_training_cell_of_a_model() -> None:
    def dataset() -> Any:
        columns = {"x": normal(1, 12, 6), "y": normal(2, 12, 4)}
        return ms.dataset.NumpySlicesDataset(columns, shuffle=False).batch(4)

    class Losses(ms.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.values: list[float] = []

        def step_end(self, run_context: Any) -> None:
            self.values.append(float(run_context.original_args().net_outputs.asnumpy()))

    thor, losses = kept(Thor(OneLayer(nn.Dense(6, 4)), nn.MSELoss(), steps=6, learning_rate=0.05)), Losses()
    kept(ms.Model(thor)).train(2, dataset(), callbacks=[losses], dataset_sink_mode=False)
    assert thor.step_number == len(losses.values) == 6 and losses.values[-1] < losses.values[0]


def test_learning_rates_as_numbers_lists_and_functions() -> None:
    def rates(**options: Any) -> tuple[list[float], list[float]]:
        thor = kept(Thor(OneLayer(nn.Dense(6, 4)), squares, steps=4, **options))
        return [thor.rate(step) for step in range(4)], [thor.first_rate(step) for step in range(4)]

    assert rates(learning_rate=0.4, first_order_learning_rate=0.2, warmup=0.0) == (
        pytest.approx([0.4, 0.3, 0.2, 0.1]),
        pytest.approx([0.2, 0.15, 0.1, 0.05]),
    )
    listed = [0.1, 0.2, 0.3, 0.4]
    assert rates(learning_rate=listed, first_order_learning_rate=lambda step: 1.0 / (step + 1)) == (
        listed,
        [1.0, 0.5, 1 / 3, 0.25],
    )
    cosine = nn.CosineDecayLR(0.0, 0.4, 4)
    falling = [0.2 * (1 + np.cos(np.pi * step / 4)) for step in range(4)]
    assert rates(learning_rate=cosine, first_order_learning_rate=0.5) == (pytest.approx(falling, rel=1e-5), [0.5] * 4)
    both = rates(learning_rate=listed)
    assert both == (listed, pytest.approx([8e-3 / 6e-3 * rate for rate in listed]))
    with pytest.raises(ConfigError, match="learning_rate has 3 values for 4 steps"):
        Thor(OneLayer(nn.Dense(6, 4)), squares, steps=4, learning_rate=listed[:3])


def test_a_loss_may_return_more_numbers() -> None:
    def loss(y: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        value = squares(y, target)
        return value, y.max(), y.min()

    network = kept(OneLayer(nn.Dense(6, 4)))
    x = Tensor(normal(1, 5, 6))
    y = network(x).asnumpy()
    result = kept(Thor(network, loss, steps=5)).step(x, Tensor(normal(2, 5, 4)))
    assert result.parts == (y.max(), y.min())
    assert result.loss == pytest.approx(((y - normal(2, 5, 4)) ** 2).mean(), rel=1e-6)


def test_a_step_that_is_not_finite_changes_nothing() -> None:
    thor = kept(Thor(Mixed(), squares, steps=5, block=4))
    thor.step(*mixed_batch(0))
    before = {p.name: p.asnumpy().copy() for p in (*thor.network.get_parameters(), *thor.state())}
    result = thor.step(mixed_batch(1)[0], Tensor(np.full((5, 4, 6), np.nan, np.float32)))
    assert not result.applied and not result.refreshed
    assert all((p.asnumpy() == before[p.name]).all() for p in (*thor.network.get_parameters(), *thor.state()))


def test_evaluation_between_steps_leaves_training_as_it_was() -> None:
    network = kept(nn.SequentialCell(nn.Dense(6, 6), nn.Dropout(p=0.5), nn.Dense(6, 4)))
    thor = kept(Thor(network, squares, steps=5))
    x, target = Tensor(normal(1, 5, 6)), Tensor(normal(2, 5, 4))
    thor.step(x, target)
    network.set_train(False)
    assert (network(x).asnumpy() == network(x).asnumpy()).all()
    assert thor.step(x, target).applied and network.training


def test_the_block_can_be_measured_on_any_network() -> None:
    network = kept(Mixed())
    choice = choose_block(network, squares, *mixed_batch(0))
    assert choice.block in (1, 16) and choice.table.count("chosen") == 1
    kept(Thor(network, squares, steps=5, block=choice.block)).step(*mixed_batch(0))
    with pytest.raises(ConfigError, match="block is auto: measure it first"):
        Thor(network, squares, steps=5, block="auto")


def test_the_layers_belong_to_the_newest() -> None:
    network = kept(Mixed())
    first = kept(Thor(network, squares, steps=5, block=4))
    first.step(*mixed_batch(0))
    second = kept(Thor(network, squares, steps=5, block=0))
    second.step(*mixed_batch(0))
    shapes = {p.name: p.shape for p in second.state()}
    assert shapes["factor_a.first.weight"] == (1, 8, 8)
    with pytest.raises(ConfigError, match="another Thor was made for this network"):
        first.step(*mixed_batch(0))


def unnamed() -> nn.Cell:
    """Two parameters of one name."""
    network = nn.SequentialCell(nn.Dense(6, 6), nn.Dense(6, 6))
    for parameter in network.trainable_params():
        parameter.name = "same" if parameter.ndim == 2 else parameter.name
    return network


@pytest.mark.parametrize(
    ("network", "options", "sentence"),
    [
        (Mixed, {"steps": 0}, "steps is 0: it must be 1 or more"),
        (Mixed, {"lr": 0.1}, "lr is not an option of the optimizer: use one of name, learning_rate"),
        (Mixed, {"name": "adam"}, "'adam' is not known: use one of adamw"),
        (Mixed, {"damping": -1.0}, "damping is -1.0"),
        (Mixed, {"groups": {"first.weight": 5}}, "first.weight of shape .* is 5 tensors side by side"),
        (nn.ReLU, {}, "no trainable parameter"),
        (unnamed, {}, "2 parameters of the network are called same"),
    ],
)
def test_mistakes_get_one_sentence(network: Callable[[], nn.Cell], options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Thor(network(), squares, **{"steps": 5, **options})


def test_a_batch_without_inputs_gets_one_sentence() -> None:
    thor = kept(Thor(Mixed(), squares, steps=5))
    with pytest.raises(ConfigError, match="no input beside its 1 labels"):
        thor(Tensor(normal(1, 5, 4)))
    with pytest.raises(ConfigError, match="the batch has no input"):
        thor.step((), Tensor(normal(1, 5, 4)))
