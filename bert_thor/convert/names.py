"""Our parameters under the names of Hugging Face's `BertForPreTraining` and of google-research/bert's checkpoints.

One table gives both: TensorFlow's scopes are Hugging Face's module names with slashes, and both name a layer's tensors
by its kind:

    kind    ours                 Hugging Face         TensorFlow
    table   (itself) [rows, H]   weight               (itself)
    dense   weight [O, I], bias  weight [O, I], bias  kernel [I, O], bias
    norm    gamma, beta          weight, bias         gamma, beta

Query, key and value are three dense layers there and the rows of one here. The masked-LM decoder is the token table in
all three.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Callable, NamedTuple

import numpy as np

from bert_thor.errors import ConvertError
from bert_thor.network.sizes import BertConfig

TOKEN_TABLE = "bert.embedding.token_table"
"""Our token table; its rows are the vocabulary."""


@dataclass(frozen=True)
class Convention:
    """How others name the tensors of a module."""

    scope: Callable[[str], str]
    """Their name of a module, from Hugging Face's."""
    table: str
    """What follows the module's name for the matrix of an embedding."""
    weight: str
    """... for the matrix of a dense layer."""
    bias: str
    """... for its bias."""
    norm: tuple[str, str]
    """... for scale and shift of a layer normalisation."""
    outputs: tuple[str, str, str]
    """Decoder bias, next-sentence matrix and bias, in full."""
    transposed: bool
    """Whether dense matrices are [inputs, outputs]."""


HUGGING_FACE = Convention(
    scope=str,
    table=".weight",
    weight=".weight",
    bias=".bias",
    norm=(".weight", ".bias"),
    outputs=("cls.predictions.bias", "cls.seq_relationship.weight", "cls.seq_relationship.bias"),
    transposed=False,
)
"""`transformers`' BertForPreTraining."""

TENSORFLOW = Convention(
    scope=lambda module: module.replace("layer.", "layer_").replace(".", "/"),
    table="",
    weight="/kernel",
    bias="/bias",
    norm=("/gamma", "/beta"),
    outputs=("cls/predictions/output_bias", "cls/seq_relationship/output_weights", "cls/seq_relationship/output_bias"),
    transposed=True,
)
"""google-research/bert's run_pretraining.py, which MLPerf's reference took over."""


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
    """Every parameter of the network that `config` describes, probes aside, with its names under `convention`."""
    return [entry for kind in (_tables, _dense, _norms, _outputs) for entry in kind(config, convention)]


def parameter_shapes(config: BertConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every parameter of the network that `config` describes, probes aside."""
    return {entry.ours: entry.shape for entry in name_map(config, HUGGING_FACE)}


def gather(
    entries: list[Entry], shapes: Mapping[str, tuple[int, ...]], read: Callable[[str], np.ndarray]
) -> dict[str, np.ndarray]:
    """Our parameters (float32) from theirs: `shapes` says which tensors there are, `read` returns one of them.

    Raises `ConvertError` naming the tensor when one is missing or has another shape, before anything is read.
    """
    for entry in entries:
        for name in entry.theirs:
            _check(entry, name, shapes)
    return {entry.ours: _stack(entry, read) for entry in entries}


def scatter(entries: list[Entry], ours: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Their tensors from our parameters, the inverse of `gather`; `ours` has the names and shapes of `entries`."""
    theirs: dict[str, np.ndarray] = {}
    for entry in entries:
        parts = np.split(ours[entry.ours], len(entry.theirs))
        theirs.update(zip(entry.theirs, (np.ascontiguousarray(part.T if entry.transposed else part) for part in parts)))
    return theirs


def _check(entry: Entry, name: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    if name not in shapes:
        raise ConvertError(f"tensor {name} is missing: the checkpoint must hold a BERT with both pretraining heads")
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
    parts = (read(name).astype(np.float32) for name in entry.theirs)
    return np.ascontiguousarray(np.concatenate([part.T if entry.transposed else part for part in parts]))


def _tables(config: BertConfig, convention: Convention) -> Iterator[Entry]:
    for ours, rows, theirs in (
        (TOKEN_TABLE, config.vocab_size, "bert.embeddings.word_embeddings"),
        ("bert.embedding.position_table", config.max_position, "bert.embeddings.position_embeddings"),
        ("bert.embedding.segment_table", config.type_vocab_size, "bert.embeddings.token_type_embeddings"),
    ):
        yield Entry(ours, (rows, config.hidden_size), (convention.scope(theirs) + convention.table,))


def _dense(config: BertConfig, convention: Convention) -> Iterator[Entry]:
    for ours, theirs, inputs, outputs in _dense_layers(config):
        modules = [convention.scope(module) for module in theirs]
        weights = tuple(module + convention.weight for module in modules)
        yield Entry(f"{ours}.weight", (outputs, inputs), weights, convention.transposed)
        yield Entry(f"{ours}.bias", (outputs,), tuple(module + convention.bias for module in modules))


def _dense_layers(config: BertConfig) -> Iterator[tuple[str, tuple[str, ...], int, int]]:
    """Our name, Hugging Face's, inputs and outputs of every dense layer but the last of the next-sentence head."""
    hidden, inner = config.hidden_size, config.intermediate_size
    for index in range(config.num_layers):
        ours, theirs = f"bert.layers.{index}", f"bert.encoder.layer.{index}"
        qkv = tuple(f"{theirs}.attention.self.{part}" for part in ("query", "key", "value"))
        yield f"{ours}.attention.qkv", qkv, hidden, 3 * hidden
        yield f"{ours}.attention_output", (f"{theirs}.attention.output.dense",), hidden, hidden
        yield f"{ours}.intermediate", (f"{theirs}.intermediate.dense",), hidden, inner
        yield f"{ours}.output", (f"{theirs}.output.dense",), inner, hidden
    yield "transform", ("cls.predictions.transform.dense",), hidden, hidden
    yield "pooler", ("bert.pooler.dense",), hidden, hidden


def _norms(config: BertConfig, convention: Convention) -> Iterator[Entry]:
    for ours, theirs in _norm_layers(config):
        for kind, suffix in zip(("gamma", "beta"), convention.norm):
            yield Entry(f"{ours}.{kind}", (config.hidden_size,), (convention.scope(theirs) + suffix,))


def _norm_layers(config: BertConfig) -> Iterator[tuple[str, str]]:
    """Our name and Hugging Face's of every layer normalisation."""
    yield "bert.embedding.norm", "bert.embeddings.LayerNorm"
    for index in range(config.num_layers):
        yield f"bert.layers.{index}.attention_norm", f"bert.encoder.layer.{index}.attention.output.LayerNorm"
        yield f"bert.layers.{index}.output_norm", f"bert.encoder.layer.{index}.output.LayerNorm"
    yield "transform_norm", "cls.predictions.transform.LayerNorm"


def _outputs(config: BertConfig, convention: Convention) -> Iterator[Entry]:
    ours = ("decoder_bias", "next_sentence.weight", "next_sentence.bias")
    shapes = ((config.vocab_size,), (2, config.hidden_size), (2,))
    for name, shape, theirs in zip(ours, shapes, convention.outputs):
        yield Entry(name, shape, (theirs,))
