"""Every parameter has a rule or is listed; nothing is forgotten silently."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mindspore import Parameter
from tiny_training import SIZES

from bert_thor.errors import ConfigError
from bert_thor.network.architecture import architecture
from bert_thor.network.model import BertForPreTraining, PretrainingLoss
from bert_thor.optimizer import OptimizerConfig, Thor, preset
from bert_thor.optimizer.capture import inspect
from bert_thor.optimizer.methods import METHODS, method
from bert_thor.optimizer.registration import describe, register
from bert_thor.optimizer.rule import Registration
from bert_thor.training.inputs import groups_of

DENSE = ("attention.qkv", "attention_output", "intermediate", "output")
ONE_LAYER = replace(SIZES, num_layers=1)


@pytest.fixture(scope="module")
def model() -> BertForPreTraining:
    return BertForPreTraining(ONE_LAYER, seed=0)


def table(model: BertForPreTraining, config: OptimizerConfig) -> dict[str, Registration]:
    entries = register(model, replace(config, block=8), groups_of(ONE_LAYER), strict=True)
    return {entry.spec.name: entry for entry in entries}


def rules(model: BertForPreTraining, name: str) -> dict[str, str]:
    return {parameter: entry.rule.label for parameter, entry in table(model, preset(name)).items()}


def test_the_live_network_is_the_list_of_the_architecture(model: BertForPreTraining) -> None:
    """What inspection finds by looking at the layers is what the pure list says, except which rows a layer sees."""
    _, specs, layers = inspect(model, groups_of(ONE_LAYER))
    assert specs == [replace(spec, rows="tokens") for spec in architecture(ONE_LAYER)]
    assert set(layers) == {spec.name for spec in specs if spec.kind in ("dense", "table")}


def test_every_trainable_parameter_is_in_the_table(model: BertForPreTraining) -> None:
    expected = {p.name for p in model.trainable_params()}
    for name in METHODS:
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
    found, config = table(model, preset("thor-2021")), replace(preset("thor-2021"), block=8)
    assert found["transform_norm.beta"].rule.label == "diagonal"
    kept = {name: method("thor-2021").state_shapes(entry.spec, config) for name, entry in found.items()}
    assert "factor_a" in kept["next_sentence.weight"] and "factor_g" not in kept["next_sentence.weight"]
    assert {"factor_a", "factor_g"} <= set(kept["pooler.weight"])
    assert all(entry.rule.label == "momentum" for name, entry in found.items() if name.endswith("bias"))


def test_an_uncovered_parameter_is_an_error_unless_listed(model: BertForPreTraining) -> None:
    config = preset("thor")
    with pytest.raises(
        ConfigError, match=r"decoder_bias of shape \(30,\) \(bias\) has no rule of its own with thor.*--first-order"
    ):
        table(model, replace(config, first_order=("*.bias", "norm", "table", "classifier")))
    with pytest.raises(ConfigError, match="token_table"):
        table(model, replace(preset("muon"), first_order=("bias", "norm", "next_sentence.*")))
    model.strange = Parameter(np.zeros((2, 3, 4), np.float32), "strange")
    try:
        with pytest.raises(ConfigError, match=r"strange of shape \(2, 3, 4\) \(other\)"):
            table(model, config)
        assert {e.spec.name: e.rule.label for e in register(model, config, {})}["strange"] == "adam"
    finally:
        del model.strange


def test_the_printed_table(model: BertForPreTraining) -> None:
    config = replace(preset("thor"), block=8)
    printed = describe(list(table(model, config).values()), config, "CPU").splitlines()
    assert printed[0].split("  ")[0] == "parameter" and "computed by" in printed[0] and "device" in printed[0]
    qkv = next(line for line in printed if "attention.qkv.weight" in line)
    assert "2 x 8x8" in qkv and "6 x 8x8" in qkv and "precondition" in qkv and "CPU" in qkv
    assert printed[-1].startswith("26 parameters, 6 preconditioned, ")


def test_memory_is_that_of_every_tensor_the_live_optimizer_keeps(model: BertForPreTraining) -> None:
    """Counted from shapes alone, as the plan does, it is what the rules and curvatures of a real network hold."""
    for name in METHODS:
        config = replace(preset(name), block=8)
        network = BertForPreTraining(ONE_LAYER, seed=0)
        thor = Thor(network, PretrainingLoss(), 1, config=config, groups=groups_of(ONE_LAYER))
        held = {parameter.name: tuple(parameter.shape) for parameter in thor.state()}
        counted = {
            f"{kind}.{spec.name}": shape
            for spec in architecture(ONE_LAYER)
            for kind, shape in method(name).state_shapes(spec, config).items()
        }
        assert held == counted, name
    factors = 2 * (2 * 8 * 8 + 2 * 8 * 8)
    transform = next(spec for spec in architecture(ONE_LAYER) if spec.name == "transform.weight")
    assert method("thor").state_bytes(transform, replace(preset("thor"), block=8)) == 4 * (16 * 16 + factors + 4 + 2)
