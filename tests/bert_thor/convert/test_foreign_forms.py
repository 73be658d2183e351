"""The forms in which others keep a BERT: a bare encoder, one head, bfloat16, several files, a padded table, MindSpore's own names."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from foreign_checkpoint import CONFIG, PIECES, TOKEN_TABLE, assert_refused, change_config, change_weights
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from bert_thor.convert.command import ConvertConfig, convert
from bert_thor.convert.huggingface import import_huggingface
from bert_thor.convert.mindspore_bert import from_parameters
from bert_thor.convert.names import HEADS, MINDSPORE, name_map, scatter
from bert_thor.data.text.vocabulary import Vocabulary, read_vocabulary
from bert_thor.errors import CheckpointError, ConvertError
from bert_thor.network.architecture import parameter_shapes
from bert_thor.network.initial_values import initial_value
from bert_thor.network.sizes import BertConfig
from bert_thor.training.run_data import read_run_data

MASKED_LM, POOLER, SENTENCE = HEADS


def without_heads(weights: dict[str, np.ndarray], *beginnings: str) -> None:
    for name in [name for name in weights if name.startswith(beginnings)]:
        del weights[name]


def as_bare_encoder(weights: dict[str, np.ndarray]) -> None:
    """As `BertModel.save_pretrained` writes it."""
    without_heads(weights, "cls.")
    for name in list(weights):
        weights[name.removeprefix("bert.")] = weights.pop(name)
    weights["embeddings.position_ids"] = np.arange(24)[None]


def same_but_for(folder: Path, whole: dict[str, np.ndarray], fresh: tuple[str, ...]) -> None:
    found = import_huggingface(folder)
    assert found.fresh == fresh
    beginnings = tuple(beginning for head in fresh for beginning in HEADS[head])
    for name, shape in parameter_shapes(CONFIG).items():
        new = name.startswith(beginnings) if beginnings else False
        expected = initial_value(name, shape, CONFIG.initializer_range, 0) if new else whole[name]
        assert (found.parameters[name] == expected).all(), name


def test_bare_encoder_gets_fresh_heads(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = import_huggingface(source).parameters
    change_weights(source, as_bare_encoder)
    same_but_for(source, whole, (MASKED_LM, SENTENCE))
    convert(ConvertConfig(source, tmp_path / "run"))
    assert (
        "has no masked-LM head, no next-sentence head: what is missing starts as in a new network"
        in capsys.readouterr().out
    )


def test_masked_lm_model_gets_pooler_and_next_sentence_head(source: Path) -> None:
    whole = import_huggingface(source).parameters
    change_weights(source, lambda weights: without_heads(weights, "bert.pooler.", "cls.seq_relationship."))
    same_but_for(source, whole, (POOLER, SENTENCE))


def test_tied_copies_in_the_place_of_the_originals(source: Path) -> None:
    whole = import_huggingface(source).parameters

    def rename(weights: dict[str, np.ndarray]) -> None:
        weights["cls.predictions.decoder.weight"] = weights.pop(TOKEN_TABLE)
        weights["cls.predictions.decoder.bias"] = weights.pop("cls.predictions.bias")

    change_weights(source, rename)
    same_but_for(source, whole, ())


def test_bfloat16(source: Path) -> None:
    """Every value is what its upper 16 bits say; a few tensors stay float32."""
    path = source / "model.safetensors"
    weights = load_file(path)
    header, data = {}, b""
    for name, value in weights.items():
        half = not name.endswith("bias")
        content = (value.view(np.uint32) >> 16).astype("<u2").tobytes() if half else value.tobytes()
        offsets = [len(data), len(data) + len(content)]
        header[name] = {"dtype": "BF16" if half else "F32", "shape": list(value.shape), "data_offsets": offsets}
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    found = import_huggingface(source).parameters
    table, bias = found["bert.embedding.token_table"], found["pooler.bias"]
    assert (table.view(np.uint32) == weights[TOKEN_TABLE].view(np.uint32) & 0xFFFF0000).all()
    assert (bias == weights["bert.pooler.dense.bias"]).all() and table.dtype == np.float32


def shard(folder: Path, files: int = 3) -> dict[str, str]:
    """Cut the weights as `save_pretrained(max_shard_size=...)` does."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = [f"model-{number + 1:05d}-of-{files:05d}.safetensors" for number in range(files)]
    places = {tensor: names[number % files] for number, tensor in enumerate(sorted(weights))}
    for name in names:
        save_file({tensor: weights[tensor] for tensor, place in places.items() if place == name}, folder / name)
    write_index(folder, places)
    return places


def write_index(folder: Path, places: dict[str, str]) -> None:
    document = {"metadata": {"total_size": 1}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(document))


def test_several_files_with_an_index(source: Path, tmp_path: Path) -> None:
    whole = import_huggingface(source).parameters
    places = shard(source)
    same_but_for(source, whole, ())
    write_index(source, {**places, TOKEN_TABLE: "model-00009-of-00003.safetensors"})
    assert_refused(ConvertError, "names the file 'model-00009-of-00003.safetensors'", source, tmp_path / "run")
    write_index(source, {**places, TOKEN_TABLE: "../huggingface/config.json"})
    assert_refused(ConvertError, "which is not beside it", source, tmp_path / "run")
    others = {name for name in places.values() if name != places[TOKEN_TABLE]}
    write_index(source, {**places, TOKEN_TABLE: min(others)})
    assert_refused(ConvertError, f"says that {min(others)} holds {TOKEN_TABLE}", source, tmp_path / "run")
    (source / "model.safetensors.index.json").write_text(json.dumps({"weight_map": ["a"]}))
    assert_refused(ConvertError, "has no weight_map from tensors to files", source, tmp_path / "run")


def test_table_padded_to_a_multiple_of_eight(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def pad(weights: dict[str, np.ndarray], rows: int) -> None:
        weights[TOKEN_TABLE] = np.pad(weights[TOKEN_TABLE][:97], ((0, rows - 97), (0, 0)))
        weights["cls.predictions.bias"] = np.pad(weights["cls.predictions.bias"][:97], (0, rows - 97))

    change_weights(source, lambda weights: pad(weights, 104))
    change_config(source, vocab_size=104)
    convert(ConvertConfig(source, tmp_path / "run"))
    assert "the token table has 104 rows, 7 more than there are word pieces" in capsys.readouterr().out
    convert(ConvertConfig(tmp_path / "run", tmp_path / "output"))
    assert json.loads((tmp_path / "output" / "config.json").read_text())["vocab_size"] == 104
    for rows in (98, 232):
        change_weights(source, lambda weights, rows=rows: pad(weights, rows))
        change_config(source, vocab_size=rows)
        assert_refused(ConvertError, f"has 97 word pieces, the network has {rows}", source, tmp_path / "other")


def mindspore_parameters(parameters: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """As the loss network of MindSpore's BERT saves them, with what its optimizers leave."""
    found = {prefix + name: value for name, value in scatter(name_map(CONFIG, MINDSPORE), parameters).items()}
    assert f"{prefix}bert.bert_encoder.layers.2.attention.attention.query_layer.weight" in found
    assert f"{prefix}bert.bert_encoder.layers.0.attention.output.layernorm.gamma" in found
    assert f"{prefix}bert.dense.weight" in found and f"{prefix}cls1.output_bias" in found
    layer = f"{prefix}bert.bert_encoder.layers.0.intermediate"
    others = {"global_step": np.zeros(1, np.int32), f"lamb_m.{layer}.weight": np.ones(3, np.float32)}
    return {**found, **others, f"{layer}.matrix_A_inv": np.zeros((2, 2), np.float32)}


@pytest.mark.parametrize("prefix", ["bert.", ""])
def test_mindspores_own_checkpoint(source: Path, tmp_path: Path, prefix: str) -> None:
    whole = import_huggingface(source).parameters
    entries = mindspore_parameters(whole, prefix)
    path = tmp_path / "bert.ckpt"
    ms.save_checkpoint([{"name": name, "data": ms.Tensor(value)} for name, value in entries.items()], str(path))
    (tmp_path / "bert_config.json").write_text((source / "config.json").read_text())
    (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES))
    convert(ConvertConfig(path, tmp_path / "run"))
    convert(ConvertConfig(tmp_path / "run", tmp_path / "output", architecture="BertForPreTraining"))
    exported = load_file(tmp_path / "output" / "model.safetensors")
    original = load_file(source / "model.safetensors")
    assert exported.keys() == original.keys() and all(
        (exported[name] == value).all() for name, value in original.items()
    )


def test_mindspores_encoder_alone_old_names_and_sizes(source: Path) -> None:
    whole = import_huggingface(source).parameters
    entries = mindspore_parameters(whole, "")
    bare = {name.removeprefix("bert."): value for name, value in entries.items() if name.startswith("bert.")}
    after = "bert_embedding_postprocessor"
    bare[f"{after}.full_position_embeddings"] = bare.pop(f"{after}.full_position_embedding.embedding_table")
    bare[f"{after}.embedding_table"] = bare.pop(f"{after}.token_type_embedding.embedding_table")
    found = from_parameters(bare)
    assert found.fresh == (MASKED_LM, SENTENCE)
    assert found.config == BertConfig(97, 32, 3, 1, 80, 24, 2, layer_norm_eps=1e-7)  # one head of 64 features at most
    assert (found.parameters["bert.embedding.position_table"] == whole["bert.embedding.position_table"]).all()
    assert (found.parameters["bert.layers.1.attention.qkv.weight"] == whole["bert.layers.1.attention.qkv.weight"]).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bert.bert_encoder.layers.0.extra.weight": np.zeros(2)}, "layers.0.extra.weight is not part of a BERT"),
        ({"bert.dense.bias": np.full(32, np.inf)}, "bert.dense.bias has 32 values of 32 that are NaN or infinite"),
        ({"bert.dense.bias": np.zeros(31)}, r"bert.dense.bias has shape \(31,\)"),
        (
            {"bert.bert_embedding_lookup.embedding_table": np.zeros(3)},
            "embedding_table is missing: this is no checkpoint",
        ),
    ],
)
def test_mindspore_parameters_that_do_not_fit(source: Path, change: dict[str, np.ndarray], words: str) -> None:
    entries = mindspore_parameters(import_huggingface(source).parameters, "")
    with pytest.raises(ConvertError, match=words):
        from_parameters({**entries, **change})


def test_a_file_that_is_no_checkpoint_is_refused(source: Path, tmp_path: Path) -> None:
    (source / "x.ckpt").write_bytes(b"nonsense")
    assert_refused(CheckpointError, "cannot be read as a MindSpore checkpoint", source / "x.ckpt", tmp_path / "run")
    ms.save_checkpoint([{"name": "w", "data": ms.Tensor(np.ones(3, np.float32))}], str(source / "y.ckpt"))
    (source / "bert_config.json").unlink(missing_ok=True)
    assert_refused(ConvertError, "this is no checkpoint of MindSpore's BERT", source / "y.ckpt", tmp_path / "run")


def test_export_can_be_read_by_all_and_is_of_the_class_that_is_asked_for(source: Path, tmp_path: Path) -> None:
    convert(ConvertConfig(source, tmp_path / "run"))
    for architecture, heads in (("BertForMaskedLM", False), ("BertForPreTraining", True)):
        output = tmp_path / architecture
        convert(ConvertConfig(tmp_path / "run", output, architecture=architecture))
        assert json.loads((output / "config.json").read_text())["architectures"] == [architecture]
        assert ("bert.pooler.dense.weight" in load_file(output / "model.safetensors")) == heads
        assert (output / "pretraining_heads.safetensors").exists() != heads
        modes = {stat.S_IMODE(path.stat().st_mode) for path in output.iterdir()}
        plain = tmp_path / "plain"
        plain.touch()
        assert modes == {stat.S_IMODE(plain.stat().st_mode)}


TEXT = "The Quick brown-fox, café naïve 你好 jumps! UNKNOWNWORDZZZ " + "a" * 150


@pytest.mark.parametrize("cased", [False, True])
def test_exported_tokenizer_gives_our_numbers(source: Path, tmp_path: Path, cased: bool) -> None:
    letters = sorted(set("abcdefghijklmnopqrstuvwxyzTQUNKOWRDZé好你-,!"))
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    pieces += [f"[unused{number}]" for number in range(97 - len(pieces))]
    (source / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces))
    (source / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": not cased}))
    convert(ConvertConfig(source, tmp_path / "run"))
    assert read_run_data(tmp_path / "run").cased is cased
    convert(ConvertConfig(tmp_path / "run", tmp_path / "output"))
    config = json.loads((tmp_path / "output" / "tokenizer_config.json").read_text())
    assert config["do_lower_case"] is not cased and config["model_max_length"] == 24
    tokenizer = Tokenizer.from_file(str(tmp_path / "output" / "tokenizer.json"))
    ours = Vocabulary(read_vocabulary(source / "vocab.txt").pieces, cased).encode(TEXT)
    assert tokenizer.encode(TEXT).ids == [2, *ours, 3] and len(set(ours)) > 10
