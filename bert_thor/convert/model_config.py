"""The network's sizes as JSON: Hugging Face's config.json and google-research/bert's bert_config.json, in the same names."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Any

from bert_thor.errors import ConfigError, ConvertError
from bert_thor.files import read_json_object
from bert_thor.network.sizes import BertConfig

_NAMES = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "max_position": "max_position_embeddings",
    "type_vocab_size": "type_vocab_size",
    "hidden_dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
    "initializer_range": "initializer_range",
    "layer_norm_eps": "layer_norm_eps",
}
_OPTIONAL = ("hidden_dropout", "attention_dropout", "initializer_range", "layer_norm_eps")
_FIXED = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute", "is_decoder": False}
"""What our network is; a file may leave these out."""


def read_model_config(path: Path) -> BertConfig:
    """The sizes in the JSON file `path`; raises `ConvertError` naming what is missing, wrong, or not our network."""
    stored = read_json_object(path, ConvertError)
    for name, value in _FIXED.items():
        if stored.get(name, value) != value:
            raise ConvertError(f"{path} has {name} {stored[name]!r}: only {value!r} can be converted")
    values = {}
    for ours, theirs in _NAMES.items():
        if theirs in stored:
            values[ours] = _number(path, theirs, stored[theirs], type(getattr(BertConfig, ours)))
        elif ours not in _OPTIONAL:
            raise ConvertError(f"{path} lacks {theirs}: it is not the configuration of a BERT")
    config = BertConfig(**values)
    try:
        config.check()
    except ConfigError as error:
        raise ConvertError(f"{path}: {error}") from None
    return config


def to_huggingface(config: BertConfig, architecture: str) -> dict[str, Any]:
    """The contents of config.json of a model of the class `architecture`."""
    sizes = {theirs: getattr(config, ours) for ours, theirs in _NAMES.items()}
    return {"architectures": [architecture], **_FIXED, **sizes, "pad_token_id": 0, "tie_word_embeddings": True}


def _number(path: Path, name: str, value: Any, kind: type) -> Any:
    allowed = (int,) if kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed) or not isfinite(value):
        raise ConvertError(f"{path} has {name} {value!r}: it must be {'a whole number' if kind is int else 'a number'}")
    return kind(value)
