"""The list of BERT's parameters, without MindSpore: what the plan, the conversions and the checks of checkpoints read.

A dense layer's weight is [outputs, inputs].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bert_thor.network.sizes import BertConfig


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter of the network."""

    name: str
    """Path in the model, such as bert.layers.0.attention.qkv.weight."""
    shape: tuple[int, ...]
    kind: str
    """dense (the matrix of a dense layer), table (an embedding), norm (scale or shift of a layer normalisation) or bias."""
    groups: int = 1
    """Separate tensors of this size side by side along the first axis: query, key and value."""
    rows: str = "tokens"
    """Which rows of a batch its layer sees: tokens (all of them), predictions (the masked ones), sequences (one each) or positions
    (one per place in a sequence)."""


def architecture(config: BertConfig) -> list[ParameterSpec]:
    """Every parameter of the network that `config` describes, in the order of the model's own parameters.

    The masked-LM decoder has no matrix here: it is the token table.
    """
    hidden = config.hidden_size
    return [
        ParameterSpec("decoder_bias", (config.vocab_size,), "bias", rows="predictions"),
        *_embedding(config),
        *(spec for index in range(config.num_layers) for spec in _encoder_layer(config, f"bert.layers.{index}")),
        *_dense("transform", hidden, hidden, rows="predictions"),
        *_norm("transform_norm", hidden, rows="predictions"),
        *_dense("pooler", hidden, hidden, rows="sequences"),
        *_dense("next_sentence", hidden, 2, rows="sequences"),
    ]


def parameter_shapes(config: BertConfig) -> dict[str, tuple[int, ...]]:
    """Shape by name of every parameter of the network that `config` describes."""
    return {spec.name: spec.shape for spec in architecture(config)}


def _embedding(config: BertConfig) -> Iterator[ParameterSpec]:
    for name, rows_of_table, rows in (
        ("token_table", config.vocab_size, "tokens"),
        ("position_table", config.max_position, "positions"),
        ("segment_table", config.type_vocab_size, "tokens"),
    ):
        yield ParameterSpec(f"bert.embedding.{name}", (rows_of_table, config.hidden_size), "table", rows=rows)
    yield from _norm("bert.embedding.norm", config.hidden_size)


def _encoder_layer(config: BertConfig, name: str) -> Iterator[ParameterSpec]:
    hidden, inner = config.hidden_size, config.intermediate_size
    yield from _dense(f"{name}.attention.qkv", hidden, 3 * hidden, groups=3)
    yield from _dense(f"{name}.attention_output", hidden, hidden)
    yield from _norm(f"{name}.attention_norm", hidden)
    yield from _dense(f"{name}.intermediate", hidden, inner)
    yield from _dense(f"{name}.output", inner, hidden)
    yield from _norm(f"{name}.output_norm", hidden)


def _dense(name: str, inputs: int, outputs: int, groups: int = 1, rows: str = "tokens") -> Iterator[ParameterSpec]:
    yield ParameterSpec(f"{name}.weight", (outputs, inputs), "dense", groups, rows)
    yield ParameterSpec(f"{name}.bias", (outputs,), "bias", groups, rows)


def _norm(name: str, features: int, rows: str = "tokens") -> Iterator[ParameterSpec]:
    for part in ("gamma", "beta"):
        yield ParameterSpec(f"{name}.{part}", (features,), "norm", rows=rows)
