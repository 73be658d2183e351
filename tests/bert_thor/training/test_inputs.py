"""Micro-batches of BERT are one batch: the loss by the masked tokens of all, the dropout of each row as in the whole batch."""

from __future__ import annotations

from functools import cache
from typing import Any

import mindspore as ms
import numpy as np
import pytest
from any_network import Start, kept
from mindspore import Tensor
from tiny_training import LENGTH, MASKED, SIZES

from bert_thor.data.records.schema import Batch
from bert_thor.network.model import BertForPreTraining, PretrainingLoss
from bert_thor.network.sizes import BertConfig
from bert_thor.optimizer import Thor, preset
from bert_thor.training import inputs
from bert_thor.training.inputs import groups_of, inputs_and_labels

SEQUENCES, STEPS = 8, 3
TOLERANCE = 64 * SEQUENCES * LENGTH * 2.0**-24
"""Relative to the largest number of a tensor: 64·ε per row."""
MODEL = BertConfig(**{**vars(SIZES), "num_layers": 1, "hidden_dropout": 0.2, "attention_dropout": 0.2})


def batch(seed: int) -> Batch:
    """Rows of which the first half has one masked token each, the others three, and the last none."""
    r = np.random.default_rng(seed)
    weights = (np.arange(MASKED) < np.array([1] * 4 + [3] * 3 + [0])[:, None]).astype(np.float32)
    return Batch(
        r.integers(1, MODEL.vocab_size, (SEQUENCES, LENGTH)).astype(np.int32),
        (np.arange(LENGTH) < r.integers(5, LENGTH + 1, (SEQUENCES, 1))).astype(np.int32),
        r.integers(0, 2, (SEQUENCES, LENGTH)).astype(np.int32),
        np.sort(r.integers(0, 5, (SEQUENCES, MASKED)), axis=1).astype(np.int32),
        r.integers(1, MODEL.vocab_size, (SEQUENCES, MASKED)).astype(np.int32),
        weights,
        r.integers(0, 2, SEQUENCES).astype(np.int32),
    )


@cache
def start(accumulate: int) -> Start:
    """The beginning of a run."""
    ms.set_context(mode=ms.GRAPH_MODE)
    config = preset(
        "thor-2021"
    )  # absolute damping, factors of tables too; that of positions has a row for all sequences of a batch
    thor = Thor(
        kept(BertForPreTraining(MODEL, seed=1)),
        PretrainingLoss(parts=accumulate),
        STEPS,
        config=config,
        groups=groups_of(MODEL),
        block=8,
        first_order=("bias", "*.position_table"),
        refresh_interval=2,
        accumulate=accumulate,
    )
    return Start(kept(thor))


def trained(accumulate: int, columns: Any = inputs_and_labels) -> tuple[list[tuple[float, ...]], dict[str, np.ndarray]]:
    """Losses and norms of a few steps, and weights and state after them."""
    thor = start(accumulate).again()
    results = [thor.step(*columns(batch(step), seed=5, step=step, accumulate=accumulate)) for step in range(STEPS)]
    state = {parameter.name: parameter.asnumpy().copy() for parameter in thor.network.get_parameters()}
    return [(r.loss, *r.parts, r.gradient_norm) for r in results], {**state, **thor.state_dict()}


@pytest.fixture(scope="module")
def whole() -> Any:
    return trained(accumulate=1)


def assert_alike(found: Any, expected: Any) -> None:
    assert (np.abs(np.subtract(found[0], expected[0])) <= TOLERANCE * np.abs(expected[0])).all(), (
        found[0],
        expected[0],
    )
    assert found[1].keys() == expected[1].keys()
    odd = [
        name
        for name, value in expected[1].items()
        if not np.abs(found[1][name] - value).max() <= TOLERANCE * np.abs(value).max()
    ]
    assert odd == []


@pytest.mark.parametrize("accumulate", [2, pytest.param(8, marks=pytest.mark.long)])
def test_micro_batches_are_one_batch(whole: Any, accumulate: int) -> None:
    """Two refreshes, dropout, and up to one row per micro-batch, one of them without a masked token."""
    assert_alike(trained(accumulate), whole)


@pytest.mark.long
def test_dropout_of_another_slice_is_found(monkeypatch: pytest.MonkeyPatch, whole: Any) -> None:
    key = inputs.dropout_seed
    monkeypatch.setattr(inputs, "dropout_seed", lambda seed, step, rank: key(seed, step, 0))
    with pytest.raises(AssertionError):
        assert_alike(trained(2), whole)


def test_a_micro_batch_weighed_by_its_own_tokens_is_found(whole: Any) -> None:
    def own_weights(rows: Batch, seed: int, step: int, accumulate: int) -> Any:
        columns, labels = inputs_and_labels(rows, seed, step, accumulate=accumulate)
        own = rows.masked_lm_weights.reshape(accumulate, -1).sum(1)
        return columns, (*labels[:-1], Tensor(own))

    with pytest.raises(AssertionError):
        assert_alike(trained(2, own_weights), whole)
