"""MindSpore's own checkpoints of BERT, `.ckpt`: those of its models (bert, bert_thor, tinybert's teacher), and those that we export.

MindSpore reads them. Theirs say nothing of the network but its tensors: the sizes are theirs, bert_config.json beside the
file says the number of heads, and without it a head has 64 features, as in every published BERT. Their layer normalisation
adds 1e-7 to the variance.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bert_thor.convert.model_config import read_model_config
from bert_thor.convert.names import MINDSPORE, Imported, gather, name_map
from bert_thor.errors import CheckpointError, ConfigError, ConvertError
from bert_thor.network.sizes import BertConfig

ENDING, CONFIG = ".ckpt", "bert_config.json"
_HEAD = 64
_TOKENS = "bert.bert_embedding_lookup.embedding_table"
_AFTER_LOOKUP = "bert.bert_embedding_postprocessor"
_NETWORK = ("bert.bert_", "bert.dense.", "cls1.", "cls2.")
"""How the names of the network's own parameters begin."""
_OLD_NAMES = {
    f"{_AFTER_LOOKUP}.full_position_embeddings": f"{_AFTER_LOOKUP}.full_position_embedding.embedding_table",
    f"{_AFTER_LOOKUP}.embedding_table": f"{_AFTER_LOOKUP}.token_type_embedding.embedding_table",
}


def import_mindspore(path: Path) -> Imported:
    """Sizes and parameters of a `.ckpt` file. Errors: `ConvertError` or `CheckpointError` naming the file and the tensor."""
    from bert_thor.compat import read_ckpt
    from bert_thor.training.mindspore_checkpoint import import_ckpt

    if not path.is_file():
        raise CheckpointError(f"{path} does not exist: give the path of a .ckpt file")
    stored = read_ckpt(path)
    if "model.vocab_size" in stored:
        exported = import_ckpt(path)
        return Imported(exported.model, exported.weights, ())
    beside = path.parent / CONFIG
    try:
        return from_parameters(stored, read_model_config(beside) if beside.is_file() else None)
    except ConvertError as error:
        raise ConvertError(f"{path}: {error}") from None


def from_parameters(stored: Mapping[str, np.ndarray], config: BertConfig | None = None) -> Imported:
    """Our parameters from those of MindSpore's network; what belongs to its optimizer and loss scaling is left out."""
    tensors = {_OLD_NAMES.get(name, name): value for name, value in _of_network(stored).items()}
    config = config or sizes(tensors)
    known = {name for entry in name_map(config, MINDSPORE) for name in entry.theirs}
    modules = {name.rpartition(".")[0] for name in known}
    foreign = sorted(name for name in tensors if name not in known and name.rpartition(".")[0] not in modules)
    if foreign:
        raise ConvertError(f"parameter {foreign[0]} is not part of a BERT of this size ({len(foreign)} such)")
    return gather(config, MINDSPORE, {name: value.shape for name, value in tensors.items()}, tensors.__getitem__)


def sizes(tensors: Mapping[str, np.ndarray]) -> BertConfig:
    """The sizes that the tensors have; `ConvertError` naming the tensor that is not there."""
    layers = {
        int(found.group(1)) for found in map(re.compile(r"bert\.bert_encoder\.layers\.(\d+)\.").match, tensors) if found
    }
    vocab_size, hidden_size = _shape(tensors, _TOKENS)
    config = BertConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        num_layers=len(layers),
        num_heads=max(1, hidden_size // _HEAD),
        intermediate_size=_shape(tensors, "bert.bert_encoder.layers.0.intermediate.weight")[0],
        max_position=_shape(tensors, f"{_AFTER_LOOKUP}.full_position_embedding.embedding_table")[0],
        type_vocab_size=_shape(tensors, f"{_AFTER_LOOKUP}.token_type_embedding.embedding_table")[0],
        layer_norm_eps=1e-7,
    )
    try:
        config.check()
    except ConfigError as error:
        raise ConvertError(f"{error}; put the {CONFIG} of the network beside the checkpoint") from None
    return config


def _shape(tensors: Mapping[str, np.ndarray], name: str) -> tuple[int, int]:
    if name not in tensors or tensors[name].ndim != 2:
        raise ConvertError(f"parameter {name} is missing: this is no checkpoint of MindSpore's BERT")
    rows, columns = tensors[name].shape
    return rows, columns


def _of_network(stored: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The network's own parameters, whether saved as a network, within its loss, or as the encoder alone."""
    outer = next((each for each in ("bert.", "") if f"{each}{_TOKENS}" in stored), None)
    if outer is not None:
        inner = {name[len(outer) :]: value for name, value in stored.items() if name.startswith(outer)}
    else:
        inner = {f"bert.{name}": value for name, value in stored.items()}
    return {name: value for name, value in inner.items() if name.startswith(_NETWORK)}
