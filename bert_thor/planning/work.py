"""What one step of one device computes, moves and keeps: exact arithmetic on the network's sizes.

Letters: N rows (tokens) of a device's batch, O outputs and I inputs of a dense layer, b block edge, n blocks, h hidden size.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod

from bert_thor.network.architecture import ParameterSpec, architecture
from bert_thor.network.sizes import BertConfig
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.optimizer.curvature.blocks import factor_shapes, factor_sides
from bert_thor.optimizer.methods import method
from bert_thor.parallel.buckets import BUCKET_BYTES
from bert_thor.precision import BYTES

FLOAT = BYTES["float32"]
STATE_KINDS = {
    "momentum": "moments", "first": "moments", "second": "moments",
    "factor": "factors", "inverse": "inverses", "basis": "bases",
    "kept": "counts and traces", "trace": "counts and traces",
}  # fmt: skip
"""What the plan calls the tensors that methods keep, by the first word of their kind."""


@dataclass(frozen=True)
class Batch:
    """The sizes of one device's batch."""

    sequences: int
    length: int
    predictions: int

    @property
    def tokens(self) -> int:
        """Rows of the encoder."""
        return self.sequences * self.length

    def rows(self, kind: str) -> int:
        """How many rows a layer sees, by the kind that `ParameterSpec.rows` names."""
        return {
            "tokens": self.tokens,
            "predictions": self.sequences * self.predictions,
            "sequences": self.sequences,
            "positions": self.length,
        }[kind]


@dataclass(frozen=True)
class Blocks:
    """The diagonal blocks of one factor."""

    count: int
    edge: int
    features: int
    rows: int
    """Rows whose covariance the factor is."""

    @property
    def elements(self) -> int:
        """Elements of all blocks, stored in full."""
        return self.count * self.edge * self.edge

    @property
    def covariance_flop(self) -> int:
        """Multiplications and additions of the needed half of xᵀx in the blocks: N·n·b·(b + 1)."""
        return self.rows * self.count * self.edge * (self.edge + 1)

    @property
    def inverse_flop(self) -> int:
        """n·b³: a Cholesky factorisation and the inverse from it."""
        return self.count * self.edge**3


@dataclass(frozen=True)
class PreconditionedLayer:
    """One dense layer or table that THOR preconditions."""

    name: str
    outputs: int
    inputs: int
    a: Blocks
    g: Blocks

    @property
    def precondition_flop(self) -> int:
        """G⁻¹ dW A⁻¹ on packed blocks: 2·O·I·(b_G + b_A)."""
        return 2 * self.outputs * self.inputs * (self.g.edge + self.a.edge)


def preconditioned_layers(model: BertConfig, optimizer: OptimizerConfig, batch: Batch) -> list[PreconditionedLayer]:
    """The dense layers and tables with Kronecker factors, as the registration of the real network finds them."""
    chosen = method(optimizer.name)
    return [
        _preconditioned(spec, int(optimizer.block), batch)
        for spec in architecture(model)
        if "factor_a" in chosen.state_shapes(spec, optimizer)
    ]


def _preconditioned(spec: ParameterSpec, block: int, batch: Batch) -> PreconditionedLayer:
    """A table's A is counted, not multiplied; the G of a classifier is the identity: it has no blocks."""
    features = spec.shape if spec.kind == "table" else spec.shape[::-1]
    rows = batch.rows(spec.rows)
    shapes, sides = factor_shapes(spec, block), factor_sides(spec)
    blocks = {
        side: Blocks(
            shapes[side][0] if side in sides else 0,
            shapes[side][1] if side in sides else 0,
            size,
            0 if spec.kind == "table" and side == "A" else rows,
        )
        for side, size in zip("AG", features)
    }
    return PreconditionedLayer(spec.name, spec.shape[0], spec.shape[1], blocks["A"], blocks["G"])


def update_flop(model: BertConfig, optimizer: OptimizerConfig) -> int:
    """Multiplications and additions of the matrix products in the method's own rules, without preconditioning."""
    chosen = method(optimizer.name)
    return sum(chosen.rule_of(spec, optimizer)[0].flop(spec) for spec in architecture(model))


def parameter_count(model: BertConfig) -> int:
    """Trainable parameters; the decoder shares the token table."""
    return sum(prod(spec.shape) for spec in architecture(model))


def step_flop(model: BertConfig, batch: Batch) -> int:
    """Multiplications and additions of the matrix products of one forward and backward pass (backward: twice the forward's)."""
    dense = sum(2 * batch.rows(spec.rows) * prod(spec.shape) for spec in architecture(model) if spec.kind == "dense")
    attention = 4 * batch.tokens * batch.length * model.hidden_size * model.num_layers
    decoder = 2 * batch.rows("predictions") * model.hidden_size * model.vocab_size
    return 3 * (dense + attention + decoder)


def activation_bytes(model: BertConfig, batch: Batch, fused_attention: bool, precision: str) -> int:
    """Bytes that the forward pass keeps for the backward pass.

    In the run's precision, per layer and token: the input, query, key and value (3), the mixed values, two sums before the norms and one
    norm between them, and the feed-forward layer before and after GELU. Unless the fused operator recomputes them, the attention
    probabilities: as the softmax gives them, in float32, and as the product takes them, where dropout or rounding makes those others.
    For the heads: logits and their gradient; beside 16-bit ones the probabilities, in float32.
    """
    h, size, narrow = model.hidden_size, BYTES[precision], precision != "float32"
    products = size if narrow or model.attention_dropout > 0.0 else 0
    probabilities = 0 if fused_attention else model.num_heads * batch.length * (FLOAT + products)
    per_token = size * (8 * h + 2 * model.intermediate_size) + probabilities
    per_prediction = size * (2 * model.vocab_size + 4 * h) + (FLOAT * model.vocab_size if narrow else 0)
    heads = batch.sequences * batch.predictions * per_prediction
    return model.num_layers * batch.tokens * per_token + 2 * batch.tokens * h * size + heads


def memory(
    model: BertConfig,
    optimizer: OptimizerConfig,
    batch: Batch,
    devices: int,
    fused_attention: bool,
    precision: str,
    accumulate: int = 1,
) -> dict[str, int]:
    """Bytes on one device by kind; all but activations and the weights that products take are float32.

    `batch` is what the device computes at once, one of `accumulate` in a step.
    """
    count, chosen = parameter_count(model), method(optimizer.name)
    states: Counter[str] = Counter()
    for spec in architecture(model):
        for kind, shape in chosen.state_shapes(spec, optimizer).items():
            states[STATE_KINDS[kind.split("_")[0]]] += prod(shape)
    layers = preconditioned_layers(model, optimizer, batch)
    captured = sum(layer.a.elements + layer.g.elements for layer in layers)
    return {
        "weights": FLOAT * count,
        "weights as products take them": BYTES[precision] * count if precision != "float32" else 0,
        "gradients": FLOAT * count,
        "sums of gradients and factors": FLOAT * (count + captured) if accumulate > 1 else 0,
        **{kind: FLOAT * states[kind] for kind in dict.fromkeys(STATE_KINDS.values())},
        "captured factors": FLOAT * captured,
        "activations": activation_bytes(model, batch, fused_attention, precision),
        "exchange buckets": 2 * BUCKET_BYTES if devices > 1 else 0,
    }


def gradients_in_backward_order(model: BertConfig, batch: Batch) -> list[tuple[int, float]]:
    """(elements, share of the backward pass's products after which it is there) of every gradient, in the order of the parameters.

    The pass goes through the layers from the last to the first; it begins with the decoder, and ends with the tables.
    """
    total = 2 / 3 * step_flop(model, batch)
    done = 4.0 * batch.rows("predictions") * model.hidden_size * model.vocab_size
    found = []
    for spec in reversed(architecture(model)):
        if spec.kind == "dense":
            done += 4 * batch.rows(spec.rows) * prod(spec.shape)
        if spec.name.endswith("attention.qkv.weight"):
            done += 8 * batch.tokens * batch.length * model.hidden_size
        found.append((prod(spec.shape), done / total))
    return found[::-1]
