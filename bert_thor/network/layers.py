"""The layers of the network over the project's fused operators.

Letters: N rows (tokens), I input features, O output features, H hidden size, V rows of a table.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mindspore import Parameter, Tensor, nn

from bert_thor.ops.add import add
from bert_thor.ops.dropout import dropout
from bert_thor.ops.embedding import embedding
from bert_thor.ops.layer_norm import layer_norm
from bert_thor.ops.linear import linear
from bert_thor.ops.residual_dropout_layer_norm import residual_dropout_layer_norm


class Linear(nn.Cell):
    """y = x Wᵀ. The bias is the layer's, but the fused operator that follows adds it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = Parameter(np.zeros((outputs, inputs), np.float32))
        self.bias = Parameter(np.zeros(outputs, np.float32))
        self.matmul = linear()

    def construct(self, x_NI: Tensor) -> Tensor:
        """Return x Wᵀ, without the bias."""
        return self.matmul(x_NI, self.weight)


class Table(nn.Cell):
    """Rows of an embedding table [V, H] that belongs to the cell around this one."""

    def __init__(self, table: Parameter) -> None:
        super().__init__(auto_prefix=False)
        self.embedding_table = table
        self.embedding = embedding()

    def construct(self, ids_N: Tensor) -> Tensor:
        """Return table[ids]."""
        return self.embedding(self.embedding_table, ids_N)


class Fork(nn.Cell):
    """x for two uses: their gradients are added in float32 and rounded once to x's type."""

    def __init__(self) -> None:
        super().__init__()
        self.add = add()

    def construct(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return x twice."""
        return x, x

    def bprop(self, x: Tensor, out: Any, dout: Any) -> Any:
        """Return the sum of both gradients."""
        return (self.add(dout[0], dout[1]),)


class LayerNorm(nn.Cell):
    """(x - mean) / sqrt(variance + eps) * gamma + beta over the last axis (Ba et al., 2016)."""

    def __init__(self, features: int, eps: float) -> None:
        super().__init__()
        self.gamma = Parameter(np.ones(features, np.float32))
        self.beta = Parameter(np.zeros(features, np.float32))
        self.layer_norm = layer_norm(eps)

    def construct(self, x_NH: Tensor) -> Tensor:
        """Return the normalised rows."""
        return self.layer_norm(x_NH, self.gamma, self.beta)[0]


class Dropout(nn.Cell):
    """Dropout whose mask is a function of the seed, the step, the `site` in the network and the element: the same for any threads."""

    def __init__(self, probability: float, site: int) -> None:
        super().__init__()
        self.active = probability > 0.0
        self.dropout = dropout(probability, site)

    def construct(self, x: Tensor, seed: Tensor) -> Tensor:
        """Return x with elements dropped while training, x itself otherwise."""
        if self.training and self.active:
            return self.dropout(x, seed)
        return x


class ResidualNorm(nn.Cell):
    """layer_norm(residual + dropout(x + bias)): one operator forward, one backward."""

    def __init__(self, features: int, eps: float, probability: float, site: int) -> None:
        super().__init__()
        self.gamma = Parameter(np.ones(features, np.float32))
        self.beta = Parameter(np.zeros(features, np.float32))
        self.training_norm = residual_dropout_layer_norm(eps, probability, site)
        self.norm = residual_dropout_layer_norm(eps, 0.0, site)

    def construct(self, x_NH: Tensor, bias_H: Tensor, residual_NH: Tensor, seed: Tensor) -> Tensor:
        """Return the normalised sum."""
        if self.training:
            return self.training_norm(x_NH, bias_H, residual_NH, self.gamma, self.beta, seed)[0]
        return self.norm(x_NH, bias_H, residual_NH, self.gamma, self.beta, seed)[0]
