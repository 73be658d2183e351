"""Dense layers whose Kronecker factors come out of the backward pass.

Letters: N rows (tokens), I input features, O output features, b block edge, n blocks.

For y = x Wᵀ with rows x_NI and output gradients d_NO, K-FAC (Martens & Grosse, 2015) needs A = xᵀx / N and G = dᵀd / N, here only their
diagonal blocks. They are returned as the gradients of two zero parameters, the probes, whose shapes are those of the packed blocks: so
`value_and_grad` over weights and probes gives gradients and factors together, without side effects, and a data-parallel reducer averages
both alike. Where the gradient of a probe is not asked for, the compiler removes the covariance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from bert_thor.ops.dropout import dropout
from bert_thor.ops.embedding import embedding, embedding_grad
from bert_thor.ops.fisher_covariance import fisher_covariance
from bert_thor.ops.layer_norm import layer_norm
from bert_thor.ops.residual_dropout_layer_norm import residual_dropout_layer_norm


def block_count(features: int, edge: int) -> int:
    """Diagonal blocks of edge `edge` that cover `features`: ceil(features / edge)."""
    return -(-features // edge)


def block_edge(features: int, edge: int, groups: int = 1) -> int:
    """The block edge used for `features` features: at most `edge`, and such that no block reaches across two of `groups` equal parts.

    `edge` 0 means one block per group.
    """
    part = features // groups
    if edge == 0 or edge >= part:
        return part
    if groups == 1:
        return edge
    return max(divisor for divisor in range(1, edge + 1) if part % divisor == 0)


class FactoredMatMul(nn.Cell):
    """y = x Wᵀ; the backward pass returns (dx, dW, A, G)."""

    def __init__(self, edge_a: int, edge_g: int) -> None:
        super().__init__()
        self.covariance_a = fisher_covariance(edge_a)
        self.covariance_g = fisher_covariance(edge_g)
        self.forward = ops.MatMul(transpose_b=True)
        self.input_gradient = ops.MatMul()
        self.weight_gradient = ops.MatMul(transpose_a=True)

    def construct(self, x_NI: Tensor, weight_OI: Tensor, probe_a: Tensor, probe_g: Tensor) -> Tensor:
        """Return x Wᵀ."""
        return self.forward(x_NI, weight_OI)

    def bprop(
        self, x_NI: Tensor, weight_OI: Tensor, probe_a: Tensor, probe_g: Tensor, out: Tensor, dout: Tensor
    ) -> Any:
        """Return one gradient per input; those of the probes are the factors."""
        return (
            self.input_gradient(dout, weight_OI),
            self.weight_gradient(dout, x_NI),
            self.covariance_a(x_NI),
            self.covariance_g(dout),
        )


class FactoredLinear(nn.Cell):
    """A dense layer y = x Wᵀ (+ bias, added by the caller's fused operator) with probes for its factors.

    `groups` > 1 says that the rows of W are that many separate matrices side by side which read the same input (query, key, value): they
    share A, no block of G reaches across two of them, and the optimizer normalises each by itself.
    """

    def __init__(self, inputs: int, outputs: int, block: int, groups: int = 1) -> None:
        super().__init__()
        self.inputs, self.outputs, self.groups = inputs, outputs, groups
        self.edge_a = block_edge(inputs, block)
        self.edge_g = block_edge(outputs, block, groups)
        self.weight = Parameter(np.zeros((outputs, inputs), np.float32))
        self.bias = Parameter(np.zeros(outputs, np.float32))
        self.probe_a = _probe(inputs, self.edge_a)
        self.probe_g = _probe(outputs, self.edge_g)
        self.matmul = FactoredMatMul(self.edge_a, self.edge_g)

    def construct(self, x_NI: Tensor) -> Tensor:
        """Return x Wᵀ, without the bias."""
        return self.matmul(x_NI, self.weight, self.probe_a, self.probe_g)


class TableLookup(nn.Cell):
    """rows = table[ids]; the backward pass returns (dtable, d ids, counts, G).

    The input of a table is a one-hot row, so its A is diagonal: how often each id occurs. counts [V, 1, 1] are its blocks of edge 1.
    """

    def __init__(self, rows: int, edge_g: int) -> None:
        super().__init__()
        self.rows = rows
        self.covariance_g = fisher_covariance(edge_g)
        self.sum_by_id = ops.UnsortedSegmentSum()
        self.embedding, self.embedding_grad = embedding(), embedding_grad()

    def construct(self, table_VH: Tensor, ids_N: Tensor, probe_a: Tensor, probe_g: Tensor) -> Tensor:
        """Return the rows [N, H]."""
        return self.embedding(table_VH, ids_N)

    def bprop(
        self, table_VH: Tensor, ids_N: Tensor, probe_a: Tensor, probe_g: Tensor, out: Tensor, dout: Tensor
    ) -> Any:
        """Return one gradient per input; those of the probes are the factors."""
        ones = ops.ones_like(dout[:, :1])
        return (
            self.embedding_grad(dout, ids_N, table_VH),
            ops.zeros_like(ids_N),
            self.sum_by_id(ones, ids_N, self.rows).reshape(self.rows, 1, 1),
            self.covariance_g(dout),
        )


class FactoredTable(nn.Cell):
    """Rows of an embedding table that its owner keeps, with probes for the table's factors."""

    def __init__(self, table: Parameter, block: int) -> None:
        super().__init__(auto_prefix=False)
        rows, features = table.shape
        self.inputs, self.outputs, self.groups = rows, features, 1
        self.weight = table
        self.probe_a = Parameter(np.zeros((rows, 1, 1), np.float32), f"{table.name}.probe_a")
        self.probe_g = _probe(features, block_edge(features, block))
        self.probe_g.name = f"{table.name}.probe_g"
        self.lookup = TableLookup(rows, block_edge(features, block))

    def construct(self, ids_N: Tensor) -> Tensor:
        """Return table[ids]."""
        return self.lookup(self.weight, ids_N, self.probe_a, self.probe_g)


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


def _probe(features: int, edge: int) -> Parameter:
    shape = (block_count(features, edge), edge, edge)
    return Parameter(np.zeros(shape, np.float32), requires_grad=True)
