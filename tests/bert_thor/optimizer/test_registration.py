"""Every parameter has a rule or is listed; nothing is forgotten silently."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mindspore import Parameter
from tiny_training import SIZES

from bert_thor.errors import ConfigError
from bert_thor.network.model import BertForPreTraining
from bert_thor.optimizer.presets import preset
from bert_thor.optimizer.registration import describe, is_probe, register

DENSE = ("attention.qkv", "attention_output", "intermediate", "output")


@pytest.fixture(scope="module")
def model() -> BertForPreTraining:
    return BertForPreTraining(replace(SIZES, num_layers=1), 8, seed=0)


def rules(model: BertForPreTraining, name: str) -> dict[str, str]:
    return {entry.parameter.name: entry.rule for entry in register(model, preset(name))}


def test_every_trainable_parameter_is_in_the_table(model: BertForPreTraining) -> None:
    expected = {p.name for p in model.trainable_params() if not is_probe(p)}
    for name in ("thor", "thor-2020", "thor-2021", "sgd", "adamw", "lamb", "muon", "soap"):
        assert set(rules(model, name)) == expected


def test_thor_preconditions_the_dense_layers_and_leaves_the_rest_to_adam(model: BertForPreTraining) -> None:
    dense = {f"bert.layers.0.{layer}.weight" for layer in DENSE} | {"transform.weight", "pooler.weight"}
    assert {name for name, rule in rules(model, "thor").items() if rule == "kronecker"} == dense
    assert set(rules(model, "thor").values()) == {"kronecker", "adam"}
    assert {name for name, rule in rules(model, "muon").items() if rule == "muon"} == dense


def test_the_first_generation_leaves_its_heads_out(model: BertForPreTraining) -> None:
    found = rules(model, "thor-2020")
    tables = {f"bert.embedding.{kind}_table" for kind in ("token", "position", "segment")}
    assert all(found[name] == "kronecker" for name in tables)
    assert found["bert.embedding.norm.gamma"] == found["bert.layers.0.output_norm.beta"] == "diagonal"
    assert found["transform_norm.gamma"] == found["next_sentence.weight"] == found["decoder_bias"] == "momentum"


def test_the_second_generation_takes_every_norm_and_the_classifiers_inputs(model: BertForPreTraining) -> None:
    table = {entry.parameter.name: entry for entry in register(model, preset("thor-2021"))}
    assert table["transform_norm.beta"].rule == "diagonal"
    assert table["next_sentence.weight"].rule == "kronecker" and table["next_sentence.weight"].sides == "A"
    assert table["pooler.weight"].sides == "AG"
    assert all(entry.rule == "momentum" for name, entry in table.items() if name.endswith("bias"))


def test_an_uncovered_parameter_is_an_error_unless_listed(model: BertForPreTraining) -> None:
    config = preset("thor")
    with pytest.raises(ConfigError, match=r"decoder_bias of shape \(30,\) has no curvature with thor.*--first-order"):
        register(model, replace(config, first_order=("*.bias", "*.gamma", "*.beta", "*_table", "next_sentence.*")))
    with pytest.raises(ConfigError, match="token_table"):
        register(model, replace(preset("muon"), first_order=("*bias", "*.gamma", "*.beta", "next_sentence.*")))
    model.strange = Parameter(np.zeros((2, 3, 4), np.float32), "strange")
    try:
        with pytest.raises(ConfigError, match=r"strange of shape \(2, 3, 4\)"):
            register(model, config)
    finally:
        del model.strange


def test_the_printed_table(model: BertForPreTraining) -> None:
    printed = describe(register(model, preset("thor")), "CPU").splitlines()
    assert printed[0].split("  ")[0] == "parameter" and "computed by" in printed[0] and "device" in printed[0]
    qkv = next(line for line in printed if "attention.qkv.weight" in line)
    assert "2 x 8x8" in qkv and "6 x 8x8" in qkv and "precondition" in qkv and "CPU" in qkv
    assert printed[-1].startswith("26 parameters, 6 preconditioned, ")


def test_memory_is_that_of_momentum_factors_and_inverses(model: BertForPreTraining) -> None:
    table = {entry.parameter.name: entry for entry in register(model, preset("thor"))}
    assert table["transform.weight"].state_bytes() == 4 * (16 * 16 + 2 * (2 * 8 * 8 + 2 * 8 * 8))
    assert table["decoder_bias"].state_bytes() == 4 * 2 * 30
