"""Our parameters under the names of Hugging Face's `BertForPreTraining`, of google-research/bert's checkpoints and of MindSpore's BERT.

One table gives all: TensorFlow's scopes are Hugging Face's module names with slashes, MindSpore's modules have names of their own,
and all name a layer's tensors by its kind:

    kind    ours                 Hugging Face         TensorFlow           MindSpore
    table   (itself) [rows, H]   weight               (itself)             embedding_table
    dense   weight [O, I], bias  weight [O, I], bias  kernel [I, O], bias  weight [O, I], bias
    norm    gamma, beta          weight, bias         gamma, beta          gamma, beta

Query, key and value are three dense layers there and the rows of one here. The masked-LM decoder is the token table in
all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Callable, NamedTuple

import numpy as np

from bert_thor.errors import ConvertError
from bert_thor.network.architecture import ParameterSpec, architecture
from bert_thor.network.initial_values import initial_value
from bert_thor.network.sizes import BertConfig

TOKEN_TABLE = "bert.embedding.token_table"
"""Our token table; its rows are the vocabulary."""


@dataclass(frozen=True)
class Convention:
    """How others name the tensors of a module."""

    scope: Callable[[str], str]
    """Their name of a module, from Hugging Face's."""
    endings: Mapping[str, str]
    """What follows the module's name, by the last part of our name; "table" for the matrix of an embedding."""
    outputs: Mapping[str, str]
    """Names that follow no rule, in full: those of the two output layers."""
    transposed: bool
    """Whether dense matrices are [inputs, outputs]; those in `outputs` are not."""


HUGGING_FACE = Convention(
    scope=str,
    endings={"table": ".weight", "weight": ".weight", "bias": ".bias", "gamma": ".weight", "beta": ".bias"},
    outputs={
        "decoder_bias": "cls.predictions.bias",
        "next_sentence.weight": "cls.seq_relationship.weight",
        "next_sentence.bias": "cls.seq_relationship.bias",
    },
    transposed=False,
)
"""`transformers`' BertForPreTraining."""

TENSORFLOW = Convention(
    scope=lambda module: module.replace("layer.", "layer_").replace(".", "/"),
    endings={"table": "", "weight": "/kernel", "bias": "/bias", "gamma": "/gamma", "beta": "/beta"},
    outputs={
        "decoder_bias": "cls/predictions/output_bias",
        "next_sentence.weight": "cls/seq_relationship/output_weights",
        "next_sentence.bias": "cls/seq_relationship/output_bias",
    },
    transposed=True,
)
"""google-research/bert's run_pretraining.py, which MLPerf's reference took over."""


def _mindspore_scope(module: str) -> str:
    for pattern, name in _MINDSPORE_MODULES.items():
        if re.fullmatch(pattern, module):
            return re.sub(pattern, name, module)
    raise KeyError(module)


_MINDSPORE_MODULES = {
    r"bert\.embeddings\.word_embeddings": "bert.bert_embedding_lookup",
    r"bert\.embeddings\.position_embeddings": "bert.bert_embedding_postprocessor.full_position_embedding",
    r"bert\.embeddings\.token_type_embeddings": "bert.bert_embedding_postprocessor.token_type_embedding",
    r"bert\.embeddings\.LayerNorm": "bert.bert_embedding_postprocessor.layernorm",
    r"bert\.encoder\.layer\.(\d+)\.attention\.self\.(\w+)": r"bert.bert_encoder.layers.\1.attention.attention.\2_layer",
    r"bert\.encoder\.layer\.(\d+)\.intermediate\.dense": r"bert.bert_encoder.layers.\1.intermediate",
    r"bert\.encoder\.layer\.(\d+)\.(.*)output\.dense": r"bert.bert_encoder.layers.\1.\2output.dense",
    r"bert\.encoder\.layer\.(\d+)\.(.*)output\.LayerNorm": r"bert.bert_encoder.layers.\1.\2output.layernorm",
    r"bert\.pooler\.dense": "bert.dense",
    r"cls\.predictions\.transform\.dense": "cls1.dense",
    r"cls\.predictions\.transform\.LayerNorm": "cls1.layernorm",
}
"""MindSpore's modules by Hugging Face's."""

MINDSPORE = Convention(
    scope=_mindspore_scope,
    endings={"table": ".embedding_table", "weight": ".weight", "bias": ".bias", "gamma": ".gamma", "beta": ".beta"},
    outputs={
        "decoder_bias": "cls1.output_bias",
        "next_sentence.weight": "cls2.dense.weight",
        "next_sentence.bias": "cls2.dense.bias",
    },
    transposed=False,
)
"""BertPreTraining of MindSpore's models, as of its bert_thor."""

HEADS = {
    "masked-LM head": ("transform.", "transform_norm.", "decoder_bias"),
    "pooler": ("pooler.",),
    "next-sentence head": ("next_sentence.",),
}
"""Parts that a checkpoint may lack as a whole, by the beginnings of our names: a bare encoder has none, a masked-LM model the first."""
FRESH_SEED = 0
"""Seed of the values that absent heads start from."""

_MODULES = {
    TOKEN_TABLE: ("bert.embeddings.word_embeddings",),
    "bert.embedding.position_table": ("bert.embeddings.position_embeddings",),
    "bert.embedding.segment_table": ("bert.embeddings.token_type_embeddings",),
    "bert.embedding.norm": ("bert.embeddings.LayerNorm",),
    "transform": ("cls.predictions.transform.dense",),
    "transform_norm": ("cls.predictions.transform.LayerNorm",),
    "pooler": ("bert.pooler.dense",),
}
"""Hugging Face's modules by ours, outside the encoder."""
_LAYER_MODULES = {
    "attention.qkv": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "attention_output": ("attention.output.dense",),
    "attention_norm": ("attention.output.LayerNorm",),
    "intermediate": ("intermediate.dense",),
    "output": ("output.dense",),
    "output_norm": ("output.LayerNorm",),
}
"""... and within one of its layers."""


class Entry(NamedTuple):
    """One of our parameters, and the tensors of others whose rows it stacks."""

    ours: str
    shape: tuple[int, ...]
    """Our shape."""
    theirs: tuple[str, ...]
    transposed: bool = False

    def their_shape(self) -> tuple[int, ...]:
        """The shape of each of `theirs`."""
        shape = (self.shape[0] // len(self.theirs), *self.shape[1:])
        return shape[::-1] if self.transposed else shape


def name_map(config: BertConfig, convention: Convention) -> list[Entry]:
    """Every parameter of the network that `config` describes with its names under `convention`."""
    return [_entry(spec, convention) for spec in architecture(config)]


class Imported(NamedTuple):
    """What a checkpoint of others holds."""

    config: BertConfig
    parameters: dict[str, np.ndarray]
    """All of the network's, float32, under our names."""
    fresh: tuple[str, ...]
    """The `HEADS` that it lacks: their parameters are a new network's."""


def gather(
    config: BertConfig,
    convention: Convention,
    shapes: Mapping[str, tuple[int, ...]],
    read: Callable[[str], np.ndarray],
) -> Imported:
    """Our parameters from theirs: `shapes` says which tensors there are, `read` returns one of them.

    Raises `ConvertError` naming the tensor when one is missing or has another shape, before anything is read, and when
    one holds a number that is not finite. A head of which no tensor is there is fresh.
    """
    entries = name_map(config, convention)
    fresh = tuple(head for head in HEADS if not any(name in shapes for name in _tensors_of(head, entries)))
    stored = [entry for entry in entries if not entry.ours.startswith(_beginnings(fresh))]
    # The token table first: what it says about another vocabulary is clearer than what the decoder's bias would say.
    for entry in sorted(stored, key=lambda entry: entry.ours != TOKEN_TABLE):
        for name in entry.theirs:
            _check(entry, name, shapes)
    values = {entry.ours: _stack(entry, read) for entry in stored}
    for entry in entries:
        if entry.ours not in values:
            values[entry.ours] = initial_value(entry.ours, entry.shape, config.initializer_range, FRESH_SEED)
    return Imported(config, values, fresh)


def scatter(entries: list[Entry], ours: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Their tensors from our parameters, the inverse of `gather`; `ours` has the names and shapes of `entries`."""
    theirs: dict[str, np.ndarray] = {}
    for entry in entries:
        parts = np.split(ours[entry.ours], len(entry.theirs))
        theirs.update(zip(entry.theirs, (np.ascontiguousarray(part.T if entry.transposed else part) for part in parts)))
    return theirs


def _check(entry: Entry, name: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    if name not in shapes:
        raise ConvertError(
            f"tensor {name} is missing: the checkpoint must hold a whole BERT; only whole heads may be absent"
        )
    found, expected = tuple(shapes[name]), entry.their_shape()
    if found == expected:
        return
    if entry.ours == TOKEN_TABLE and found[1:] == expected[1:]:
        raise ConvertError(
            f"the vocabulary size is {expected[0]} in the configuration and {found[0]} in tensor {name}: "
            "use the configuration that the checkpoint was made with"
        )
    raise ConvertError(f"tensor {name} has shape {found}, the configuration says {expected}: use its own configuration")


def _stack(entry: Entry, read: Callable[[str], np.ndarray]) -> np.ndarray:
    parts = (_finite(name, read(name)) for name in entry.theirs)
    return np.ascontiguousarray(np.concatenate([part.T if entry.transposed else part for part in parts]))


def _finite(name: str, value: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        value = value.astype(np.float32)
    wrong = int(value.size - np.isfinite(value).sum())
    if wrong:
        raise ConvertError(
            f"tensor {name} has {wrong} values of {value.size} that are NaN or infinite in float32: take an earlier checkpoint"
        )
    return value


def _tensors_of(head: str, entries: list[Entry]) -> list[str]:
    return [name for entry in entries if entry.ours.startswith(HEADS[head]) for name in entry.theirs]


def _beginnings(heads: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(beginning for head in heads for beginning in HEADS[head])


def _entry(spec: ParameterSpec, convention: Convention) -> Entry:
    if spec.name in convention.outputs:
        return Entry(spec.name, spec.shape, (convention.outputs[spec.name],))
    module, ending = (spec.name, "table") if spec.kind == "table" else spec.name.rsplit(".", 1)
    names = tuple(convention.scope(theirs) + convention.endings[ending] for theirs in _modules(module))
    return Entry(spec.name, spec.shape, names, convention.transposed and spec.kind == "dense")


def _modules(ours: str) -> tuple[str, ...]:
    """Hugging Face's modules whose rows our module stacks."""
    if ours in _MODULES:
        return _MODULES[ours]
    *_, index, module = ours.split(".", 3)  # bert.layers.<index>.<module>
    return tuple(f"bert.encoder.layer.{index}.{theirs}" for theirs in _LAYER_MODULES[module])
