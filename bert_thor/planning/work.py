"""What one step of one device computes, moves and keeps: exact arithmetic on the network's sizes.

Letters: N rows (tokens) of a device's batch, O outputs and I inputs of a dense layer, b block edge, n blocks, h hidden size.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import prod

from bert_thor.errors import ConfigError
from bert_thor.network.architecture import architecture
from bert_thor.network.sizes import BertConfig
from bert_thor.optimizer.config import OptimizerConfig

FLOAT = 4
"""Bytes of a float32."""
MOMENTS = {"thor": 2, "adamw": 2, "lamb": 2, "sgd": 1}
"""Tensors of optimizer state per first-order parameter, by optimizer."""


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
    """One dense layer that THOR preconditions."""

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
    """The dense layers with curvature, as the registration of the real network finds them."""
    if optimizer.name != "thor":
        return []
    block = int(optimizer.block)
    layers = []
    for spec in architecture(model):
        if spec.kind != "dense" or any(fnmatchcase(spec.name, pattern) for pattern in optimizer.first_order):
            continue
        outputs, inputs = spec.shape
        rows = batch.rows(spec.rows)
        a, g = _blocks(inputs, block, 1, rows), _blocks(outputs, block, spec.groups, rows)
        layers.append(PreconditionedLayer(spec.name, outputs, inputs, a, g))
    return layers


def parameter_count(model: BertConfig) -> int:
    """Trainable parameters; the decoder shares the token table."""
    return sum(prod(spec.shape) for spec in architecture(model))


def step_flop(model: BertConfig, batch: Batch) -> int:
    """Multiplications and additions of the matrix products of one forward and backward pass (backward: twice the forward's)."""
    dense = sum(2 * batch.rows(spec.rows) * prod(spec.shape) for spec in architecture(model) if spec.kind == "dense")
    attention = 4 * batch.tokens * batch.length * model.hidden_size * model.num_layers
    decoder = 2 * batch.rows("predictions") * model.hidden_size * model.vocab_size
    return 3 * (dense + attention + decoder)


def activation_elements(model: BertConfig, batch: Batch, fused_attention: bool) -> int:
    """Elements that the forward pass keeps for the backward pass.

    Per layer and token: the input, query, key and value (3), the mixed values, two sums before the norms and one norm between them, and the
    feed-forward layer before and after GELU; attention probabilities unless the fused operator recomputes them. For the heads: logits and
    their gradient.
    """
    h = model.hidden_size
    per_token = 8 * h + 2 * model.intermediate_size + (0 if fused_attention else model.num_heads * batch.length)
    heads = 2 * batch.sequences * batch.predictions * (model.vocab_size + 2 * h)
    return model.num_layers * batch.tokens * per_token + 2 * batch.tokens * h + heads


def memory(
    model: BertConfig, optimizer: OptimizerConfig, batch: Batch, devices: int, fused_attention: bool, bucket: int
) -> dict[str, int]:
    """Bytes on one device by kind, all in float32. `bucket`: elements of one bucket of the exchange between devices."""
    count = parameter_count(model)
    layers = preconditioned_layers(model, optimizer, batch)
    covered = sum(layer.outputs * layer.inputs for layer in layers)
    blocks = sum(layer.a.elements + layer.g.elements for layer in layers)
    if optimizer.name not in MOMENTS:
        raise ConfigError(f"there is no plan for optimizer {optimizer.name!r}: use one of {', '.join(MOMENTS)}")
    elements = {
        "weights": count,
        "gradients": count,
        "moments": covered + MOMENTS[optimizer.name] * (count - covered),
        "factors": blocks,
        "inverses": blocks,
        "captured factors": blocks,
        "activations": activation_elements(model, batch, fused_attention),
        "exchange buckets": 2 * bucket if devices > 1 else 0,
    }
    return {kind: FLOAT * value for kind, value in elements.items()}


def _blocks(features: int, edge: int, groups: int, rows: int) -> Blocks:
    """As `layers.block_edge` cuts them: no block reaches across two groups, edge 0 keeps a group whole."""
    part = features // groups
    if edge == 0 or edge >= part:
        edge = part
    elif groups > 1:
        edge = max(divisor for divisor in range(1, edge + 1) if part % divisor == 0)
    return Blocks(-(-features // edge), edge, features, rows)
