"""Checkpoints in and out: Hugging Face both ways, TensorFlow's names in; what does not fit is refused and leaves nothing behind."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from foreign_checkpoint import (
    CONFIG,
    FIRST_NORM,
    PIECES,
    TOKEN_TABLE,
    assert_refused,
    change_config,
    change_weights,
)
from safetensors import safe_open
from safetensors.numpy import load_file

from bert_thor.convert.command import ConvertConfig, convert
from bert_thor.convert.huggingface import import_huggingface
from bert_thor.convert.tensorflow_checkpoint import from_variables, import_tensorflow
from bert_thor.data.errors import DataError
from bert_thor.errors import CheckpointError, ConfigError, ConvertError
from bert_thor.network.architecture import parameter_shapes
from bert_thor.training.checkpoint import checkpoint_path, load_checkpoint
from bert_thor.training.run_folder import RunFolder


def test_import_gives_the_sizes_and_every_parameter(source: Path, stored: dict[str, np.ndarray]) -> None:
    config, parameters, fresh = import_huggingface(source)
    assert not fresh
    assert config == CONFIG
    assert {name: value.shape for name, value in parameters.items()} == parameter_shapes(CONFIG)
    layer = "bert.encoder.layer.1.attention.self"
    rows = np.concatenate([stored[f"{layer}.{part}.weight"] for part in ("query", "key", "value")])
    assert (parameters["bert.layers.1.attention.qkv.weight"] == rows).all()
    assert (parameters["bert.embedding.token_table"] == stored[TOKEN_TABLE]).all()


def test_there_and_back_is_bit_exact(source: Path, tmp_path: Path, stored: dict[str, np.ndarray]) -> None:
    run, output = tmp_path / "run", tmp_path / "new" / "output"
    convert(ConvertConfig(source, run))
    convert(ConvertConfig(run, output))
    exported = {**load_file(output / "model.safetensors"), **load_file(output / "pretraining_heads.safetensors")}
    assert exported.keys() == stored.keys()
    assert all(exported[name].tobytes() == value.tobytes() for name, value in stored.items())
    assert (
        json.loads((source / "config.json").read_text()).items()
        <= json.loads((output / "config.json").read_text()).items()
    )
    assert (output / "vocab.txt").read_bytes() == (source / "vocab.txt").read_bytes()
    with safe_open(output / "model.safetensors", "numpy") as file:
        assert file.metadata() == {"format": "pt"}  # transformers asks for it
    assert sorted(path.name for path in output.iterdir()) == [
        *("config.json", "model.safetensors", "pretraining_heads.safetensors"),
        *("tokenizer.json", "tokenizer_config.json", "vocab.txt"),
    ]
    again = import_huggingface(output)
    assert not again.fresh and all(
        (import_huggingface(source).parameters[n] == v).all() for n, v in again.parameters.items()
    )


def test_import_writes_a_run_that_can_be_evaluated(source: Path, tmp_path: Path) -> None:
    convert(ConvertConfig(source, tmp_path / "run"))
    run = RunFolder(tmp_path / "run")
    assert run.steps() == [0] and run.read_model() == CONFIG
    checkpoint = load_checkpoint(checkpoint_path(run.checkpoints, 0))
    assert checkpoint.state["samples"] == 0 and checkpoint.model.keys() == parameter_shapes(CONFIG).keys()


def test_one_checkpoint_of_a_run_is_exported(source: Path, tmp_path: Path) -> None:
    convert(ConvertConfig(source, tmp_path / "run"))
    convert(ConvertConfig(checkpoint_path(tmp_path / "run" / "checkpoints", 0), tmp_path / "output"))
    assert (tmp_path / "output" / "model.safetensors").is_file()


def test_the_vocabulary_is_the_runs_own_and_no_other(source: Path, tmp_path: Path) -> None:
    """Data that the run names may have been prepared again since: a vocabulary of the same size there is another one."""
    run, words = tmp_path / "run", tmp_path / "run" / "vocab.txt"
    convert(ConvertConfig(source, run))
    own = words.read_bytes()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "vocab.txt").write_bytes(own.replace(b"piece9\n", b"other\n"))
    change_config(run, data=str(tmp_path / "data"))
    convert(ConvertConfig(run, tmp_path / "output"))
    assert (tmp_path / "output" / "vocab.txt").read_bytes() == own
    words.write_bytes((tmp_path / "data" / "vocab.txt").read_bytes())
    assert_refused(CheckpointError, "vocab.txt has SHA-256 .* the run began with", run, tmp_path / "second")
    words.unlink()
    assert_refused(CheckpointError, "vocab.txt is missing: restore the vocabulary of SHA-256", run, tmp_path / "second")


def test_old_names_tied_copies_and_half_precision_are_understood(source: Path, stored: dict[str, np.ndarray]) -> None:
    def as_old_versions_saved_it(weights: dict[str, np.ndarray]) -> None:
        for name in [name for name in weights if "LayerNorm" in name]:
            weights[name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")] = (
                weights.pop(name)
            )
        weights["cls.predictions.decoder.weight"] = weights[TOKEN_TABLE].copy()
        weights["cls.predictions.decoder.bias"] = weights["cls.predictions.bias"].copy()
        weights["bert.embeddings.position_ids"] = np.arange(24)[None]
        weights["bert.pooler.dense.bias"] = weights["bert.pooler.dense.bias"].astype(np.float16)

    change_weights(source, as_old_versions_saved_it)
    parameters = import_huggingface(source).parameters
    assert (parameters["bert.embedding.norm.gamma"] == stored[f"{FIRST_NORM}.weight"]).all()
    assert (parameters["bert.embedding.norm.beta"] == stored[f"{FIRST_NORM}.bias"]).all()
    assert (parameters["pooler.bias"] == stored["bert.pooler.dense.bias"].astype(np.float16)).all()
    assert {value.dtype for value in parameters.values()} == {np.dtype(np.float32)}


WEIGHTS: dict[str, tuple[Callable[[dict[str, np.ndarray]], object], str]] = {
    "missing": (lambda w: w.pop("bert.pooler.dense.bias"), "bert.pooler.dense.bias is missing"),
    "foreign": (
        lambda w: w.update({"bert.encoder.layer.3.output.dense.bias": np.zeros(32, np.float32)}),
        "layer.3.output.dense.bias is not part",
    ),
    "shape": (
        lambda w: w.update({"cls.predictions.bias": np.zeros(96, np.float32)}),
        r"cls.predictions.bias has shape \(96,\).*\(97,\)",
    ),
    "transposed": (
        lambda w: w.update({"bert.encoder.layer.0.output.dense.weight": np.zeros((80, 32), np.float32)}),
        r"layer.0.output.dense.weight has shape \(80, 32\).*\(32, 80\)",
    ),
    "vocabulary": (
        lambda w: w.update({TOKEN_TABLE: np.zeros((104, 32), np.float32)}),
        "vocabulary size is 97 .* and 104",
    ),
    "untied": (
        lambda w: w.update({"cls.predictions.decoder.weight": w[TOKEN_TABLE] + 1}),
        "cls.predictions.decoder.weight differs from bert.embeddings.word_embeddings.weight",
    ),
    "integers": (
        lambda w: w.update({"cls.predictions.bias": np.zeros(97, np.int64)}),
        "cls.predictions.bias is stored as I64",
    ),
    "not finite": (
        lambda w: w.update({"cls.predictions.bias": np.r_[np.zeros(95), np.nan, -np.inf].astype(np.float32)}),
        "cls.predictions.bias has 2 values of 97 that are NaN or infinite",
    ),
    "too large": (
        lambda w: w.update({"cls.predictions.bias": np.full(97, 1e39)}),
        "cls.predictions.bias has 97 values of 97 that are NaN or infinite",
    ),
    "encoder cut": (
        lambda w: [w.pop(name) for name in list(w) if name.startswith("bert.encoder.layer.2.")],
        "layer.2.attention.self.query.weight is missing",
    ),
    "both names": (
        lambda w: w.update({f"{FIRST_NORM}.gamma": w[f"{FIRST_NORM}.weight"]}),
        "both its old and its new names",
    ),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_weights_that_do_not_fit_are_refused_by_name(source: Path, tmp_path: Path, case: str) -> None:
    change, words = WEIGHTS[case]
    change_weights(source, change)
    assert_refused(ConvertError, words, source, tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "roberta"}, "model_type 'roberta': only 'bert'"),
        ({"hidden_act": "relu"}, "hidden_act 'relu': only 'gelu'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type 'relative_key'"),
        ({"num_attention_heads": 5}, "hidden_size 32 is not a multiple of num_heads 5"),
        ({"hidden_size": 32.5}, "hidden_size 32.5: it must be a whole number"),
        ({"layer_norm_eps": float("inf")}, "layer_norm_eps inf: it must be a number"),
        ({"vocab_size": 98}, "vocabulary size is 98 .* and 97"),
    ],
)
def test_configuration_of_another_network_is_refused(
    source: Path, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    change_config(source, **changes)
    assert_refused(ConvertError, words, source, tmp_path / "run")


def test_configuration_without_a_size_is_refused(source: Path, tmp_path: Path) -> None:
    (source / "config.json").write_text(json.dumps({"vocab_size": 97}))
    assert_refused(ConvertError, "config.json lacks hidden_size", source, tmp_path / "run")


def test_damaged_files_are_refused(source: Path, tmp_path: Path) -> None:
    content = (source / "model.safetensors").read_bytes()
    (source / "model.safetensors").write_bytes(content[:-1])
    assert_refused(ConvertError, "model.safetensors is not a whole safetensors file", source, tmp_path / "run")
    (source / "model.safetensors").unlink()
    assert_refused(ConvertError, "model.safetensors is missing", source, tmp_path / "run")
    (source / "config.json").write_text("{")
    assert_refused(ConvertError, "config.json cannot be read as JSON", source, tmp_path / "run")


def test_vocabulary_of_another_size_is_refused(source: Path, tmp_path: Path) -> None:
    shutil.copytree(source, tmp_path / "short")
    (tmp_path / "short" / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES[:-1]))
    assert_refused(
        ConvertError, "vocab.txt has 96 word pieces, the network has 97", tmp_path / "short", tmp_path / "run"
    )
    convert(ConvertConfig(tmp_path / "short", tmp_path / "run", vocabulary=source / "vocab.txt"))
    assert (tmp_path / "run" / "vocab.txt").read_bytes() == (source / "vocab.txt").read_bytes()


def test_output_that_is_not_empty_is_left_alone(source: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").write_text("x")
    with pytest.raises(DataError, match="exists and is not an empty folder"):
        convert(ConvertConfig(source, tmp_path / "run"))
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine"]


def test_full_disk_leaves_nothing(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bert_thor.training.run_data.replace_bytes", full)
    assert_refused(OSError, "No space left", source, tmp_path / "run")


def test_damaged_or_foreign_runs_are_refused(source: Path, tmp_path: Path) -> None:
    convert(ConvertConfig(source, tmp_path / "run"))
    change_config(tmp_path / "run", **{"model.num_layers": 2})
    assert_refused(CheckpointError, "holds parameter bert.layers.2", tmp_path / "run", tmp_path / "output")
    change_config(tmp_path / "run", **{"model.num_layers": 3})
    model = checkpoint_path(tmp_path / "run" / "checkpoints", 0) / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-1])
    assert_refused(CheckpointError, "model.safetensors has .* bytes", tmp_path / "run", tmp_path / "output")
    shutil.rmtree(model.parent)
    assert_refused(CheckpointError, "holds no checkpoint", tmp_path / "run", tmp_path / "output")
    (tmp_path / "run" / "config.json").unlink()
    assert_refused(ConfigError, "holds no run", tmp_path / "run", tmp_path / "output")


def tensorflow_variables(stored: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The fixture under the names, and in the layout, of google-research/bert's run_pretraining.py, with an optimizer's variables."""
    v = {
        "bert/embeddings/word_embeddings": stored[TOKEN_TABLE],
        "bert/embeddings/position_embeddings": stored["bert.embeddings.position_embeddings.weight"],
        "bert/embeddings/token_type_embeddings": stored["bert.embeddings.token_type_embeddings.weight"],
        "bert/embeddings/LayerNorm/gamma": stored["bert.embeddings.LayerNorm.weight"],
        "bert/embeddings/LayerNorm/beta": stored["bert.embeddings.LayerNorm.bias"],
        "bert/pooler/dense/kernel": stored["bert.pooler.dense.weight"].T,
        "bert/pooler/dense/bias": stored["bert.pooler.dense.bias"],
        "cls/predictions/output_bias": stored["cls.predictions.bias"],
        "cls/predictions/transform/dense/kernel": stored["cls.predictions.transform.dense.weight"].T,
        "cls/predictions/transform/dense/bias": stored["cls.predictions.transform.dense.bias"],
        "cls/predictions/transform/LayerNorm/gamma": stored["cls.predictions.transform.LayerNorm.weight"],
        "cls/predictions/transform/LayerNorm/beta": stored["cls.predictions.transform.LayerNorm.bias"],
        "cls/seq_relationship/output_weights": stored["cls.seq_relationship.weight"],
        "cls/seq_relationship/output_bias": stored["cls.seq_relationship.bias"],
    }
    for index in range(3):
        ours, theirs = f"bert/encoder/layer_{index}", f"bert.encoder.layer.{index}"
        for dense, module in (
            ("attention/self/query", "attention.self.query"),
            ("attention/self/key", "attention.self.key"),
            ("attention/self/value", "attention.self.value"),
            ("attention/output/dense", "attention.output.dense"),
            ("intermediate/dense", "intermediate.dense"),
            ("output/dense", "output.dense"),
        ):
            v[f"{ours}/{dense}/kernel"] = stored[f"{theirs}.{module}.weight"].T
            v[f"{ours}/{dense}/bias"] = stored[f"{theirs}.{module}.bias"]
        for norm, module in (
            ("attention/output/LayerNorm", "attention.output.LayerNorm"),
            ("output/LayerNorm", "output.LayerNorm"),
        ):
            v[f"{ours}/{norm}/gamma"] = stored[f"{theirs}.{module}.weight"]
            v[f"{ours}/{norm}/beta"] = stored[f"{theirs}.{module}.bias"]
    slots = {f"{name}/{slot}": np.full_like(value, 9) for name, value in v.items() for slot in ("adam_m", "adam_v")}
    v = {name: np.ascontiguousarray(value) for name, value in v.items()}
    return {**v, **slots, "global_step": np.array(28252), "beta1_power": np.float32(0.9)}


def shapes(variables: dict[str, np.ndarray]) -> dict[str, list[int]]:
    return {name: list(value.shape) for name, value in variables.items()}


def test_tensorflow_names(source: Path, stored: dict[str, np.ndarray]) -> None:
    variables = tensorflow_variables(stored)
    expected = import_huggingface(source).parameters
    found = from_variables(CONFIG, shapes(variables), variables.__getitem__).parameters
    assert found.keys() == expected.keys()
    assert all((found[name] == value).all() for name, value in expected.items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v.pop("bert/pooler/dense/bias"), "bert/pooler/dense/bias is missing"),
        (
            lambda v: v.update({"bert/encoder/layer_3/output/dense/bias": np.zeros(32)}),
            "layer_3/output/dense/bias is not part",
        ),
        (
            lambda v: v.update({"bert/encoder/layer_0/output/dense/kernel": np.zeros((32, 80))}),
            r"\(32, 80\).*\(80, 32\)",
        ),
        (
            lambda v: v.update({"bert/embeddings/word_embeddings": np.zeros((104, 32))}),
            "vocabulary size is 97 .* and 104",
        ),
    ],
)
def test_tensorflow_variables_that_do_not_fit_are_refused(
    stored: dict[str, np.ndarray], change: Callable[[dict[str, np.ndarray]], object], words: str
) -> None:
    variables = tensorflow_variables(stored)
    change(variables)
    with pytest.raises(ConvertError, match=words):
        from_variables(CONFIG, shapes(variables), variables.__getitem__)


@pytest.fixture
def checkpoint(source: Path, tmp_path: Path) -> Path:
    """The prefix of a TensorFlow checkpoint without content, and its configuration as google-research/bert writes it."""
    folder = tmp_path / "tensorflow"
    folder.mkdir()
    config = json.loads((source / "config.json").read_text())
    config.pop("layer_norm_eps")
    (folder / "bert_config.json").write_text(json.dumps(config))
    shutil.copyfile(source / "vocab.txt", folder / "vocab.txt")
    (folder / "model.ckpt-28252.index").write_bytes(b"")
    return folder / "model.ckpt-28252"


@pytest.mark.parametrize("by_folder", [False, True])
def test_tensorflow_checkpoint_becomes_a_run(
    checkpoint: Path, tmp_path: Path, stored: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch, by_folder: bool
) -> None:
    """Without TensorFlow: a stand-in with the three functions of it that are called."""
    variables, opened = tensorflow_variables(stored), []
    reader = SimpleNamespace(get_variable_to_shape_map=lambda: shapes(variables), get_tensor=variables.__getitem__)
    train = SimpleNamespace(load_checkpoint=lambda prefix: opened.append(prefix) or reader)
    errors = SimpleNamespace(OpError=RuntimeError)
    monkeypatch.setitem(sys.modules, "tensorflow", SimpleNamespace(train=train, errors=errors))
    convert(ConvertConfig(checkpoint.parent if by_folder else checkpoint, tmp_path / "run"))
    assert opened == [str(checkpoint)]
    loaded = load_checkpoint(checkpoint_path(tmp_path / "run" / "checkpoints", 0)).model
    expected = import_huggingface(tmp_path / "huggingface").parameters
    assert loaded.keys() == expected.keys() and all((loaded[name] == value).all() for name, value in expected.items())
    assert (tmp_path / "run" / "vocab.txt").is_file()


def test_without_tensorflow_one_sentence(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert_refused(
        ConvertError, "needs TensorFlow, which is not installed: pip install tensorflow", checkpoint, tmp_path / "run"
    )


def test_which_tensorflow_checkpoint_must_be_clear(checkpoint: Path, tmp_path: Path) -> None:
    (checkpoint.parent / "model.ckpt-1.index").write_bytes(b"")
    with pytest.raises(ConvertError, match="holds 2 TensorFlow checkpoints"):
        import_tensorflow(checkpoint.parent)
    (tmp_path / "empty").mkdir()
    assert_refused(
        ConvertError, "holds 0 TensorFlow checkpoints and no other model", tmp_path / "empty", tmp_path / "run"
    )
    assert_refused(
        ConvertError,
        "absent is neither a run, a Hugging Face folder, a .ckpt file nor",
        tmp_path / "absent",
        tmp_path / "run",
    )
    with pytest.raises(ConvertError, match=r"absent\.index is missing"):
        import_tensorflow(tmp_path / "absent")
