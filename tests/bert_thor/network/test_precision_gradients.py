"""Gradients and factors of a small network in 16 bits beside those of float32; and that small updates are not lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
import pytest
from precisions import needs_bfloat16
from tiny_training import SIZES, batch, inputs_and_labels

from bert_thor.compat import use_graph_mode
from bert_thor.network.model import BertForPreTraining, PretrainingLoss
from bert_thor.ops._backend import VARIABLE
from bert_thor.optimizer import Thor, preset
from bert_thor.precision import Precision
from bert_thor.training.inputs import groups_of

UNIT = {"float16": 2.0**-11, "bfloat16": 2.0**-8}
ROUNDINGS = 16 * SIZES.num_layers + 8
"""Tensors that are rounded on the longest path: in a layer 8 forward (qkv, values, output, norm, inner, GELU, output, norm) and as many
backward; 4 and 4 in the embedding and in the head."""
_KEPT: list[Any] = []


@pytest.fixture(autouse=True)
def graph_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    use_graph_mode("CPU")


def thor(precision: Precision, **changes: Any) -> Thor:
    """The optimizer on the network in `precision`. MindSpore knows a compiled cell by its address: it may not be freed."""
    model = BertForPreTraining(SIZES, 1, precision)
    config = replace(preset("thor"), block=8, **changes)
    _KEPT.append(Thor(model, PretrainingLoss(), 40, config=config, groups=groups_of(SIZES), strict=True))
    made: Thor = _KEPT[-1]
    return made


def backward(precision: Precision) -> dict[str, np.ndarray]:
    """Gradients of all parameters and probes by name, and the loss."""
    optimizer = thor(precision)
    inputs, labels = inputs_and_labels(batch(0))
    losses, _, gradients, factors, _ = optimizer.gradients(len(inputs), True)(*inputs, *labels)
    names = [*(entry.parameter.name for entry in optimizer.table), *(probe.name for probe in optimizer.probes())]
    assert {str(value.dtype) for value in (*losses, *gradients, *factors)} == {"Float32"}
    return {"loss": losses[0].asnumpy(), **{n: v.asnumpy() for n, v in zip(names, (*gradients, *factors))}}


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """By the kernels for CPUs in float32."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("exact"))
        use_graph_mode("CPU")
        return backward(in_backend("float32", patch))


def in_backend(precision: Precision, monkeypatch: pytest.MonkeyPatch) -> Precision:
    monkeypatch.setenv(VARIABLE, "mindspore" if precision == "float16" else "auto")
    return precision


@pytest.mark.parametrize("precision", ["float16", pytest.param("bfloat16", marks=needs_bfloat16)])
def test_gradients_and_factors_are_those_of_float32_to_rounding(
    precision: Precision, exact: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the largest element of each tensor: a unit of the precision for every rounding on the way."""
    found = backward(in_backend(precision, monkeypatch))
    for name, value in exact.items():
        limit = ROUNDINGS * UNIT[precision] * np.abs(value).max()
        assert (np.abs(found[name] - value) <= limit).all(), name
    assert any((found[name] != value).any() for name, value in exact.items())  # it is another precision


def assert_small_updates_are_kept(precision: Precision) -> None:
    """Four steps that together are below half a unit of a weight: weights of 16 bits would stay where they are."""
    rates = {"learning_rate": 2e-6, "first_order_learning_rate": 2e-6, "warmup": 0.0, "weight_decay": 0.0}
    optimizer = thor(precision, **rates)
    layers = [entry.parameter for entry in optimizer.table if entry.spec.kind == "dense"]
    start = [layer.asnumpy().reshape(-1).copy() for layer in layers]
    for step in range(4):
        optimizer.step(*inputs_and_labels(batch(step)))
    before, after = np.concatenate(start), np.concatenate([layer.asnumpy().reshape(-1) for layer in layers])
    small = np.abs(after - before) < 0.5 * UNIT[precision] * np.abs(before)
    assert small.mean() > 0.8
    assert (after != before)[small].mean() > 0.95


@pytest.mark.parametrize(
    "precision", [pytest.param("bfloat16", marks=needs_bfloat16), pytest.param("float16", marks=pytest.mark.long)]
)
def test_updates_below_the_resolution_of_the_activations_are_not_lost(
    precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_small_updates_are_kept(in_backend(precision, monkeypatch))


@needs_bfloat16
def test_weights_that_are_stored_in_bfloat16_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    apply = Thor.apply

    def rounded(self: Thor, *arguments: Any) -> float:
        seconds = apply(self, *arguments)
        for entry in self.table:
            entry.parameter.set_data(entry.parameter.astype(ms.bfloat16).astype(ms.float32))
        return seconds

    monkeypatch.setattr(Thor, "apply", rounded)
    with pytest.raises(AssertionError):
        assert_small_updates_are_kept("bfloat16")
