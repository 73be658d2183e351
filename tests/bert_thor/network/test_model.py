"""The network against Hugging Face's BERT in float64 (fixtures/make_bert_fixture.py); its sizes and its start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from mindspore import Tensor, nn
from safetensors.numpy import load_file

import bert_thor.network.model
from bert_thor.compat import use_graph_mode
from bert_thor.convert.names import HUGGING_FACE, gather, name_map, scatter
from bert_thor.data.records.schema import Batch
from bert_thor.errors import ConfigError
from bert_thor.network.initial_values import truncated_normal
from bert_thor.network.model import BertForPreTraining, PretrainingLoss, dropout_seed
from bert_thor.network.sizes import BERT_SIZES, BertConfig
from bert_thor.optimizer import Thor, preset
from bert_thor.training.inputs import groups_of

FIXTURE = Path(__file__).parents[2] / "fixtures" / "bert.safetensors"
CONFIG = BertConfig(
    vocab_size=97,
    hidden_size=32,
    num_layers=3,
    num_heads=4,
    intermediate_size=80,
    max_position=24,
    hidden_dropout=0.0,
    attention_dropout=0.0,
)
TOLERANCE = CONFIG.num_layers * CONFIG.vocab_size * float(np.finfo(np.float32).eps)
"""Relative to the largest number compared: in each layer, one rounding per addend of the longest sum. It is 3.5e-5."""


_KEPT: list[nn.Cell] = []


def kept(cell: Any) -> Any:
    """MindSpore knows a cell that it has compiled by its address, and would take a new one at a freed address for it."""
    _KEPT.append(cell)
    return cell


@pytest.fixture(autouse=True)
def graph_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MindSpore leaves files in the working directory."""
    monkeypatch.chdir(tmp_path)
    use_graph_mode("CPU")


@pytest.fixture(scope="module")
def fixture() -> dict[str, np.ndarray]:
    return load_file(FIXTURE)


def of_kind(fixture: dict[str, np.ndarray], kind: str) -> dict[str, np.ndarray]:
    return {name[len(kind) + 1 :]: value for name, value in fixture.items() if name.startswith(f"{kind}/")}


def build(fixture: dict[str, np.ndarray]) -> BertForPreTraining:
    """The network with the fixture's weights."""
    stored = of_kind(fixture, "weight")
    shapes = {name: value.shape for name, value in stored.items()}
    values = gather(CONFIG, HUGGING_FACE, shapes, stored.__getitem__).parameters
    model = BertForPreTraining(CONFIG)
    for parameter in model.get_parameters():
        parameter.set_data(Tensor(values[parameter.name]))
    return kept(model)


def batch(fixture: dict[str, np.ndarray]) -> list[Tensor]:
    return [Tensor(fixture[f"input/{name}"]) for name in Batch._fields]


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    assert (np.abs(found - expected) <= TOLERANCE * np.abs(expected).max()).all()


class Logits(nn.Cell):
    def __init__(self, model: BertForPreTraining) -> None:
        super().__init__(auto_prefix=False)
        self.model = model

    def construct(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        scores, bias, sentence = self.model(*inputs)
        return scores + bias, sentence


def test_logits(fixture: dict[str, np.ndarray]) -> None:
    model = build(fixture)
    model.set_train(False)
    tokens, sentence = kept(Logits(model))(*batch(fixture)[:4], dropout_seed(0, 0))
    assert_close(tokens.asnumpy(), fixture["output/token_logits"])
    assert_close(sentence.asnumpy(), fixture["output/sentence_logits"])


class Losses(nn.Cell):
    """(loss, masked-LM loss, next-sentence loss) of a batch, in the order of its columns, and a dropout key."""

    def __init__(self, model: BertForPreTraining) -> None:
        super().__init__(auto_prefix=False)
        self.model, self.loss = model, PretrainingLoss()

    def construct(self, *columns: Tensor) -> Any:
        return self.loss(*self.model(*columns[:4], columns[-1]), *columns[4:-1])


class Backward(NamedTuple):
    """Losses, and gradients of all parameters by our names; those of the probes are factors."""

    losses: list[np.ndarray]
    gradients: dict[str, np.ndarray]


@pytest.fixture(scope="module", params=[24, 0], ids=["blocks", "whole"])
def backward(
    request: pytest.FixtureRequest, fixture: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Backward]:
    """One backward pass; an edge of 24 divides neither 32 nor 80, and is cut to 16 where three matrices lie side by side."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("backward"))
        use_graph_mode("CPU")
        config = replace(preset("thor"), block=request.param, first_order=("bias", "norm"))
        model = build(fixture)
        thor = kept(Thor(model, PretrainingLoss(), 1, config=config, groups=groups_of(CONFIG)))
        columns = batch(fixture)
        inputs = [*columns[:4], dropout_seed(0, 0)]
        losses, _, gradients, factors, _ = thor.gradients(len(inputs), True)(*inputs, *columns[4:])
        parameters = [entry.parameter for entry in thor.table] + thor.probes()
        values = {p.name: value.asnumpy() for p, value in zip(parameters, (*gradients, *factors))}
        yield Backward([loss.asnumpy() for loss in losses], values)


def test_losses(fixture: dict[str, np.ndarray], backward: Backward) -> None:
    masked_lm, next_sentence = fixture["output/masked_lm_loss"], fixture["output/next_sentence_loss"]
    for found, expected in zip(backward.losses, (masked_lm + next_sentence, masked_lm, next_sentence)):
        assert_close(found, expected)


@pytest.mark.parametrize("scale", [1e-5, 0.0])
def test_loss_of_small_weights_and_of_none(fixture: dict[str, np.ndarray], scale: float) -> None:
    """Where the weights do not dwarf the 1e-5 in Σ w·nll / (Σ w + 1e-5), and where there are none: 0."""
    logits, labels = fixture["output/token_logits"].astype(np.float64), fixture["input/masked_lm_ids"].reshape(-1)
    nll = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]
    scaled = fixture["input/masked_lm_weights"] * np.float32(scale)
    model = build(fixture)
    model.set_train(False)
    _, masked_lm_loss, _ = kept(Losses(model))(
        *batch({**fixture, "input/masked_lm_weights": scaled}), dropout_seed(0, 0)
    )
    assert_close(masked_lm_loss.asnumpy(), (scaled.reshape(-1) * nll).sum() / (scaled.sum() + 1e-5))


def test_gradients(fixture: dict[str, np.ndarray], backward: Backward) -> None:
    """Through embedding and tied decoder, position and segment tables, attention, norms, biases and both heads."""
    found = scatter(name_map(CONFIG, HUGGING_FACE), backward.gradients)
    expected = of_kind(fixture, "gradient")
    assert len(expected) == 12
    for name, value in expected.items():
        assert_close(found[name], value)


LAYERS = {
    "bert.layers.0.attention.qkv": [
        f"bert.encoder.layer.0.attention.self.{part}" for part in ("query", "key", "value")
    ],
    "bert.layers.2.output": ["bert.encoder.layer.2.output.dense"],
    "pooler": ["bert.pooler.dense"],
    "transform": ["cls.predictions.transform.dense"],
    "next_sentence": ["cls.seq_relationship"],
}
TABLES = {
    "bert.embedding.token_table": "bert.embeddings.word_embeddings",
    "bert.embedding.position_table": "bert.embeddings.position_embeddings",
    "bert.embedding.segment_table": "bert.embeddings.token_type_embeddings",
}


@pytest.mark.parametrize("layer", LAYERS)
def test_factors_of_a_dense_layer(fixture: dict[str, np.ndarray], backward: Backward, layer: str) -> None:
    """The probes' gradients are the diagonal blocks of xᵀx / N and dᵀd / N; query, key and value share A, not G."""
    a, g = (backward.gradients.get(f"{probe}.{layer}.weight") for probe in ("probe_a", "probe_g"))
    assert a is not None
    theirs = LAYERS[layer]
    assert_close(a, packed(fixture[f"factor_a/{theirs[0]}"], edge=a.shape[1]))
    if g is None:
        assert layer == "next_sentence"  # a classifier's G is taken as the identity
        return
    for part, name in zip(np.split(g, len(theirs)), theirs):
        assert_close(part, packed(fixture[f"factor_g/{name}"], edge=g.shape[1]))


@pytest.mark.parametrize("table", TABLES)
def test_factors_of_a_table(fixture: dict[str, np.ndarray], backward: Backward, table: str) -> None:
    """A is how often each row was looked up, G is dᵀd / N over the look-ups (of positions: one for the whole batch)."""
    counts, g = (backward.gradients[f"{probe}.{table}"] for probe in ("probe_a", "probe_g"))
    assert (counts.reshape(-1) == fixture[f"factor_a/{TABLES[table]}"]).all()
    assert_close(g, packed(fixture[f"factor_g/{TABLES[table]}"], edge=g.shape[1]))


def packed(dense: np.ndarray, edge: int) -> np.ndarray:
    """The diagonal blocks of `dense`, the last one padded with zeros."""
    blocks = np.zeros((-(-len(dense) // edge), edge, edge), dense.dtype)
    for index, block in enumerate(blocks):
        part = dense[index * edge : (index + 1) * edge, index * edge : (index + 1) * edge]
        block[: len(part), : len(part)] = part
    return blocks


def test_dropout_acts_in_training_only_and_follows_the_seed(fixture: dict[str, np.ndarray]) -> None:
    model = kept(BertForPreTraining(replace(CONFIG, num_layers=1, hidden_dropout=0.1, attention_dropout=0.1)))

    losses = kept(Losses(model))

    def loss(training: bool, seed: int, step: int) -> float:
        losses.set_train(training)
        return float(losses(*batch(fixture), dropout_seed(seed, step))[0].asnumpy())

    assert loss(True, 3, 7) == loss(True, 3, 7)
    assert len({loss(True, 3, 7), loss(True, 3, 8), loss(True, 4, 7), loss(False, 3, 7)}) == 4
    assert loss(False, 3, 7) == loss(False, 4, 8)


PARAMETERS = {
    "bert-large": 336_226_108,
    "bert-base": 110_106_428,
    "bert-medium": 41_668_412,
    "bert-small": 29_058_876,
    "bert-mini": 5_430_786,
    "bert-tiny": 1_503_746,
}
"""What `transformers` counts in a BertForPreTraining of each size."""


@pytest.mark.parametrize("size", BERT_SIZES)
def test_parameter_count(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bert_thor.network.model, "initialise", lambda *arguments: None)
    shapes = {parameter.name: parameter.shape for parameter in BertForPreTraining(BERT_SIZES[size]).get_parameters()}
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == PARAMETERS[size] == counted(BERT_SIZES[size])


def counted(c: BertConfig) -> int:
    """Tables and norm; per layer four h×h and two h×i matrices with biases and two norms; the heads."""
    h, i = c.hidden_size, c.intermediate_size
    tables = (c.vocab_size + c.max_position + c.type_vocab_size) * h + 2 * h
    layer = 4 * (h * h + h) + (h * i + i) + (i * h + h) + 2 * 2 * h
    return tables + c.num_layers * layer + (h * h + h) + (h * h + h + 2 * h) + c.vocab_size + (2 * h + 2)


def test_start_depends_on_seed_and_name_alone() -> None:
    start, again, other_seed = (BertForPreTraining(CONFIG, seed) for seed in (5, 5, 6))
    deeper_network = BertForPreTraining(replace(CONFIG, num_layers=4), 5)
    values = {parameter.name: parameter.asnumpy() for parameter in start.get_parameters()}
    deeper = {parameter.name: parameter.asnumpy() for parameter in deeper_network.get_parameters()}
    assert all((parameter.asnumpy() == values[parameter.name]).all() for parameter in again.get_parameters())
    assert all((deeper[name] == value).all() for name, value in values.items())
    assert all((p.asnumpy() != values[p.name]).any() for p in other_seed.get_parameters() if p.ndim == 2)
    matrices = [value.tobytes()[:64] for value in values.values() if value.ndim == 2]
    assert len(set(matrices)) == len(matrices) == 3 + 3 * 4 + 3


def test_start_of_each_kind_of_parameter() -> None:
    for parameter in BertForPreTraining(replace(CONFIG, initializer_range=0.5)).get_parameters():
        value = parameter.asnumpy()
        if parameter.ndim == 2:
            assert 0 < np.abs(value).max() <= 2 * 0.5 and abs(value.mean()) <= 5 * 0.5 / np.sqrt(value.size)
        else:
            assert (value == (1 if parameter.name.endswith("gamma") else 0)).all()


def test_truncated_normal_has_the_moments_of_the_distribution() -> None:
    """Cut at ±2: variance 1 - 2·2·φ(2) / (Φ(2) - Φ(-2)) and fourth moment 3 - 2·(2³ + 3·2)·φ(2) / (Φ(2) - Φ(-2))."""
    values = truncated_normal(np.random.default_rng(0), (1_000_000,))
    assert values.dtype == np.float32 and np.abs(values).max() <= 2
    ratio = np.exp(-2.0) / np.sqrt(2 * np.pi) / 0.9544997361036416
    variance, fourth = 1 - 4 * ratio, 3 - 28 * ratio
    deviation_of_mean, deviation_of_variance = np.sqrt(np.array([variance, fourth - variance**2]) / values.size)
    assert abs(values.mean(dtype=np.float64)) <= 5 * deviation_of_mean
    assert abs(values.var(dtype=np.float64) - variance) <= 5 * deviation_of_variance


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden_size": 30}, ("hidden_size 30", "num_heads 4")),
        ({"num_layers": 0}, ("num_layers is 0",)),
        ({"vocab_size": -1}, ("vocab_size is -1",)),
        ({"type_vocab_size": 0}, ("type_vocab_size is 0",)),
        ({"hidden_dropout": 1.0}, ("hidden_dropout is 1.0", "below 1")),
        ({"attention_dropout": float("nan")}, ("attention_dropout is nan",)),
    ],
)
def test_impossible_sizes_are_refused_by_name(change: dict[str, float], words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as refusal:
        BertForPreTraining(replace(CONFIG, **change))
    assert all(word in str(refusal.value) for word in words)


def test_fixture_is_of_this_size(fixture: dict[str, np.ndarray]) -> None:
    shapes = {name: value.shape for name, value in of_kind(fixture, "weight").items()}
    assert shapes == {name: entry.their_shape() for entry in name_map(CONFIG, HUGGING_FACE) for name in entry.theirs}
