"""The list of parameters is that of the live model, and says of each what its layer is and sees."""

from __future__ import annotations

from pathlib import Path

import pytest

import bert_thor.network.model
from bert_thor.network.architecture import ParameterSpec, architecture, parameter_shapes
from bert_thor.network.model import BertForPreTraining
from bert_thor.network.sizes import BERT_SIZES, BertConfig
from bert_thor.training.parameters import weights

CONFIG = BertConfig(
    vocab_size=50, hidden_size=24, num_layers=2, num_heads=2, intermediate_size=40, max_position=16, type_vocab_size=3
)
SPECS = {spec.name: spec for spec in architecture(CONFIG)}


@pytest.mark.parametrize("size", BERT_SIZES)
def test_names_shapes_and_order_of_the_live_model(size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # MindSpore leaves files in the working directory
    monkeypatch.setattr(bert_thor.network.model, "initialise", lambda *arguments: None)
    live = [(parameter.name, tuple(parameter.shape)) for parameter in weights(BertForPreTraining(BERT_SIZES[size]))]
    assert live == [(spec.name, spec.shape) for spec in architecture(BERT_SIZES[size])]
    assert dict(live) == parameter_shapes(BERT_SIZES[size])


def test_kinds() -> None:
    """Four dense layers in each of two encoder layers and three in the heads; a bias each, and the decoder's."""
    kinds = [spec.kind for spec in SPECS.values()]
    assert {kind: kinds.count(kind) for kind in kinds} == {"bias": 12, "table": 3, "norm": 12, "dense": 11}
    assert all(len(spec.shape) == (2 if spec.kind in ("dense", "table") else 1) for spec in SPECS.values())
    assert SPECS["decoder_bias"].kind == "bias" and SPECS["transform_norm.gamma"].kind == "norm"


def test_query_key_and_value_are_three_tensors() -> None:
    grouped = {spec.name for spec in SPECS.values() if spec.groups != 1}
    assert grouped == {f"bert.layers.{index}.attention.qkv.{part}" for index in (0, 1) for part in ("weight", "bias")}
    assert all(SPECS[name].groups == 3 and SPECS[name].shape[0] == 3 * 24 for name in grouped)


def test_rows_that_the_layers_see() -> None:
    def seen(rows: str) -> set[str]:
        return {spec.name.rsplit(".", 1)[0] for spec in SPECS.values() if spec.rows == rows}

    assert seen("predictions") == {"decoder_bias", "transform", "transform_norm"}
    assert seen("sequences") == {"pooler", "next_sentence"}
    assert [spec.name for spec in SPECS.values() if spec.rows == "positions"] == ["bert.embedding.position_table"]
    assert SPECS["bert.layers.1.output.weight"] == ParameterSpec("bert.layers.1.output.weight", (24, 40), "dense")
