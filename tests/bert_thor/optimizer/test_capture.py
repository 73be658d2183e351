"""What is captured is what NumPy computes: factors of dense layers and tables, of several uses, of shared weights, of padded rows."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Callable

import mindspore as ms
import numpy as np
import pytest
from any_network import OneLayer, kept, normal, squares
from mindspore import Parameter, Tensor, nn, ops

from bert_thor.errors import ConfigError
from bert_thor.optimizer import Thor

UNIT = 2.0**-24


@pytest.fixture(autouse=True)
def graph_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MindSpore leaves files in the working directory."""
    monkeypatch.chdir(tmp_path)
    ms.set_context(mode=ms.GRAPH_MODE)
    ms.set_seed(1)


def factors(thor: Thor, inputs: Any, labels: Any) -> dict[str, np.ndarray]:
    """Whole factors by name, as a refresh takes them: after the first capture has shown how often each layer is used."""
    thor.step(inputs, labels)
    assert thor.curvatures is not None
    return {p.name: p.asnumpy() for p in thor.state() if p.name.startswith("factor_")}


def capturing(network: nn.Cell, loss: Callable[..., Tensor] = squares, **options: Any) -> Thor:
    """THOR whose first step leaves the weights, with whole factors of the first batch."""
    whole = {"block": 0, "factor_decay": 0.0, "refresh_interval": 1, "learning_rate": 0.0, **options}
    return kept(Thor(network, loss, steps=5, first_order_learning_rate=0.0, **whole))


def covariance(*rows: np.ndarray) -> np.ndarray:
    """The mean of rowᵀ row over all rows of all arrays."""
    flat = np.concatenate([part.reshape(-1, part.shape[-1]).astype(np.float64) for part in rows])
    return flat.T @ flat / len(flat)


def assert_close(found: np.ndarray, exact: np.ndarray) -> None:
    """To the rounding of sums of some hundred terms."""
    assert found.shape == exact.shape
    assert (np.abs(found - exact) <= 512 * UNIT * np.abs(exact).max()).all()


DENSE = {
    "bias": lambda: nn.Dense(6, 4),
    "no bias": lambda: nn.Dense(6, 4, has_bias=False),
    "mint": lambda: ms.mint.nn.Linear(6, 4),
    "mint without bias": lambda: ms.mint.nn.Linear(6, 4, bias=False),
}


AXES = {"rows": (7,), "3 axes": (2, 3), "4 axes": (2, 3, 2)}


@pytest.mark.parametrize(
    ("kind", "axes"),
    [
        pytest.param(
            kind, axes, id=f"{kind}, {name}", marks=() if kind == "bias" or name == "3 axes" else pytest.mark.long
        )
        for kind in DENSE
        for name, axes in AXES.items()
    ],
)
def test_factors_of_a_dense_layer(kind: str, axes: tuple[int, ...]) -> None:
    """A is the covariance of the inputs, G that of the gradients of the loss of one sample, over all leading axes."""
    if kind.startswith("mint") and not hasattr(ms, "mint"):
        pytest.skip("this line of MindSpore has no mint")
    network = kept(OneLayer(DENSE[kind]()))
    x, target = normal(1, *axes, 6), normal(2, *axes, 4)
    y = network(Tensor(x)).asnumpy()
    found = factors(capturing(network), Tensor(x), Tensor(target))
    assert_close(found["factor_a.layer.weight"][0], covariance(x))
    gradient = 2 * (y - target) / y.size * axes[0]
    assert_close(found["factor_g.layer.weight"][0], covariance(gradient))


def test_masked_rows_count_as_rows() -> None:
    """Padding: rows whose loss has weight 0 have no gradient, and stay in the number of rows of both factors."""
    network = kept(OneLayer(nn.Dense(6, 4)))
    x, target = normal(1, 8, 6), normal(2, 8, 4)
    weights = np.float32([1, 1, 1, 0, 0, 1, 0, 1])[:, None]

    def masked(y: Tensor, target: Tensor, weights: Tensor) -> Tensor:
        return (weights * (y - target) ** 2).sum() / 8

    y = network(Tensor(x)).asnumpy()
    found = factors(capturing(network, masked), Tensor(x), (Tensor(target), Tensor(weights)))
    assert_close(found["factor_a.layer.weight"][0], covariance(x))
    assert_close(found["factor_g.layer.weight"][0], covariance(2 * weights * (y - target)))


@pytest.mark.parametrize("kind", DENSE)
def test_rows_weighed_by_their_gradients(kind: str) -> None:
    """A = Σ ‖d‖² x xᵀ / N of the gradients of the loss of one sample; a masked row has no part, even where its input is no number."""
    if kind.startswith("mint") and not hasattr(ms, "mint"):
        pytest.skip("this line of MindSpore has no mint")
    network = kept(OneLayer(DENSE[kind]()))
    x, target = normal(1, 4, 2, 6), normal(2, 4, 2, 4)
    weights = np.float32([1, 1, 1, 0, 0, 1, 0, 1]).reshape(4, 2, 1)

    def masked(y: Tensor, target: Tensor, weights: Tensor) -> Tensor:
        return ops.select((weights > 0).broadcast_to(y.shape), (y - target) ** 2, ops.zeros_like(y)).sum() / 4

    y = network(Tensor(x)).asnumpy()
    gradient = 2 * weights * (y - target)
    norms = np.sqrt((gradient.astype(np.float64) ** 2).sum(-1, keepdims=True))
    thor = capturing(network, masked, row_weights="gradient")
    found = factors(thor, Tensor(x), (Tensor(target), Tensor(weights)))
    assert_close(found["factor_a.layer.weight"][0], covariance(norms * x))
    assert_close(found["factor_g.layer.weight"][0], covariance(gradient))
    x[weights[..., 0] == 0] = 1e30
    again = thor.capture(Tensor(x), (Tensor(target), Tensor(weights)))[0][0]
    assert np.abs(again).max() > 0 and np.isfinite(again).all()
    assert_close(again[0] * 4**2, covariance(norms * np.where(weights > 0, x, 0)))


class Twice(nn.Cell):
    """One layer on x, then on what it made of x, and on z with another number of rows."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Dense(6, 6)

    def construct(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.layer(self.layer(x)), self.layer(z)


def two_squares(y: Tensor, of_z: Tensor, target: Tensor) -> Tensor:
    return ((y - target) ** 2).sum() / 5 + (of_z**2).sum() / 5


def test_a_layer_that_is_used_three_times_has_the_mean_of_all_its_rows() -> None:
    network = kept(Twice())
    x, z, target = normal(1, 5, 6), normal(2, 3, 2, 6), normal(3, 5, 6)
    w, b = network.layer.weight.asnumpy().astype(np.float64), network.layer.bias.asnumpy()
    inner = x @ w.T + b
    y, of_z = inner @ w.T + b, z @ w.T + b
    outer_gradient, z_gradient = 2 * (y - target), 2 * of_z
    thor = capturing(network, two_squares)
    found = factors(thor, (Tensor(x), Tensor(z)), Tensor(target))
    assert_close(found["factor_a.layer.weight"][0], covariance(x, inner, z))
    assert_close(found["factor_g.layer.weight"][0], covariance(outer_gradient, outer_gradient @ w, z_gradient))
    assert thor.step((Tensor(x), Tensor(z)), Tensor(target)).applied  # later captures need no second look
    again = {p.name: p.asnumpy() for p in thor.state() if p.name.startswith("factor_")}
    assert all((again[name] == value).all() for name, value in found.items())


def test_weighted_rows_of_three_uses() -> None:
    network = kept(Twice())
    x, z, target = normal(1, 5, 6), normal(2, 3, 2, 6), normal(3, 5, 6)
    w, b = network.layer.weight.asnumpy().astype(np.float64), network.layer.bias.asnumpy()
    inner = x @ w.T + b
    outer = 2 * (inner @ w.T + b - target)
    pairs = [(x, outer @ w), (inner, outer), (z.reshape(6, 6), 2 * (z.reshape(6, 6) @ w.T + b))]
    rows = [np.sqrt((d**2).sum(1, keepdims=True)) * inputs for inputs, d in pairs]
    found = factors(capturing(network, two_squares, row_weights="gradient"), (Tensor(x), Tensor(z)), Tensor(target))
    assert_close(found["factor_a.layer.weight"][0], covariance(*rows))


class SharedWeight(nn.Cell):
    """Two layers with one matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Dense(6, 6, has_bias=False), nn.Dense(6, 6, has_bias=False)
        self.second.weight = self.first.weight

    def construct(self, x: Tensor) -> Tensor:
        return self.second(ops.tanh(self.first(x)))


def test_a_weight_of_two_layers_has_the_mean_of_the_rows_of_both() -> None:
    network = kept(SharedWeight())
    x, target = normal(1, 5, 6), normal(2, 5, 6)
    hidden = np.tanh(x @ network.first.weight.asnumpy().T)
    thor = capturing(network)
    assert [entry.spec.name for entry in thor.table] == ["first.weight"]
    found = factors(thor, Tensor(x), Tensor(target))
    assert_close(found["factor_a.first.weight"][0], covariance(x, hidden))


class Tied(nn.Cell):
    """An embedding whose table is a dense layer's weight too."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 8)
        self.decoder = nn.Dense(8, 11, has_bias=False)
        self.decoder.weight = self.table.embedding_table

    def construct(self, ids: Tensor) -> Tensor:
        return self.decoder(self.table(ids))


def test_a_table_that_is_a_dense_weight_too_is_a_table() -> None:
    thor = kept(Thor(Tied(), nn.CrossEntropyLoss(), steps=5))
    assert [(entry.spec.kind, entry.rule.label) for entry in thor.table] == [("table", "adam")]
    with pytest.raises(ConfigError, match="layers of two kinds: add its name to first_order"):
        Thor(Tied(), nn.CrossEntropyLoss(), steps=5, first_order=())


def test_factors_of_an_embedding() -> None:
    """A counts how often each row was looked up per sample; G is the covariance of the look-ups' gradients."""
    network = kept(OneLayer(nn.Embedding(11, 8)))
    ids, target = np.random.default_rng(1).integers(0, 11, (3, 4)).astype(np.int32), normal(2, 3, 4, 8)
    y = network(Tensor(ids)).asnumpy()
    found = factors(capturing(network, first_order=()), Tensor(ids), Tensor(target))
    counts = np.bincount(ids.reshape(-1), minlength=11) / 3
    assert_close(found["factor_a.layer.embedding_table"].reshape(-1), counts)
    assert_close(found["factor_g.layer.embedding_table"][0], covariance(2 * (y - target) / y.size * 3))


class Owner(nn.Cell):
    """Parameters and layers whose names are those that layers give their weight and their operator."""

    def __init__(self) -> None:
        super().__init__()
        self.dense, self.weight = nn.Dense(6, 6), Parameter(normal(4, 6, 6), "weight")
        self.embedding, self.embedding_table = nn.Dense(6, 6), Parameter(normal(5, 6, 6), "rows")

    def construct(self, x: Tensor) -> Tensor:
        return ops.matmul(self.embedding(self.dense(x)), ops.matmul(self.weight, self.embedding_table))


def test_a_layer_inside_is_not_taken_for_an_operator() -> None:
    network = kept(Owner())
    x, target = Tensor(normal(1, 5, 6)), Tensor(normal(2, 5, 6))
    before = network(x).asnumpy()
    found = factors(capturing(network), x, target)
    assert (network(x).asnumpy() == before).all()
    assert {name for name in found if name.startswith("factor_a")} == {
        "factor_a.dense.weight",
        "factor_a.embedding.weight",
    }
    assert_close(found["factor_a.dense.weight"][0], covariance(x.asnumpy()))


class PartlyUsed(nn.Cell):
    """One layer without a gradient, and one whose weight is used in another way than its own."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.idle, self.bare = nn.Dense(6, 6), nn.Dense(6, 6), nn.Dense(6, 6)

    def construct(self, x: Tensor) -> Tensor:
        return ops.matmul(self.used(x), self.bare.weight)


def test_layers_that_are_not_used_are_named_and_left_alone() -> None:
    network = kept(PartlyUsed())
    thor = kept(Thor(network, squares, steps=10, block=0, refresh_interval=2, weight_decay=0.0, warmup=0.0))
    idle, bare = network.idle.weight.asnumpy().copy(), network.bare.weight.asnumpy().copy()
    x, target = Tensor(normal(1, 5, 6)), Tensor(normal(2, 5, 6))
    with pytest.warns(RuntimeWarning, match=r"layers of idle.weight, bare.weight are not used"):
        first = thor.step(x, target)
    assert first.refreshed and first.curvature is not None and first.curvature.recomputed == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = [thor.step(x, target) for _ in range(4)]
    assert [result.refreshed for result in results] == [False, True, False, True]
    assert (network.idle.weight.asnumpy() == idle).all() and (network.bare.weight.asnumpy() != bare).any()
    inverses = {p.name: p.asnumpy() for p in thor.state() if p.name.startswith("inverse_")}
    assert all((inverses[f"inverse_{side}.bare.weight"] == np.eye(6)).all() for side in "ag")
