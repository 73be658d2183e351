"""Rows of a table by index as a MindSpore operator with its own gradient."""

from __future__ import annotations

from typing import Any, Callable

import mindspore as ms
from mindspore import Tensor, nn, ops

from bert_thor.ops._backend import choose
from bert_thor.ops._custom import cpu

Embedding = Callable[[Tensor, Tensor], Tensor]
EmbeddingGrad = Callable[[Tensor, Tensor, Tensor], Tensor]


def embedding() -> Embedding:
    """The operator (table, ids) -> y with y[r] = table[ids[r]]; table [vocabulary, features] float32, ids [rows] int32 in
    [0, vocabulary).

    Its gradient is `embedding_grad`. Graph mode and PyNative.
    """
    backends: dict[str, Callable[[], Embedding]] = {"mindspore": EmbeddingMindSpore, "cpu": embedding_cpu}
    return backends[choose("embedding", backends)]()


def embedding_grad() -> EmbeddingGrad:
    """The operator (dy, ids, table) -> dtable: row v is the sum of dy[r] over the rows with ids[r] = v.

    dy [rows, features] float32, ids [rows] int32; of `table` only the shape matters. `cpu` adds the rows in their order: the
    same bits on every run.
    """
    backends: dict[str, Callable[[], EmbeddingGrad]] = {"mindspore": EmbeddingGradMindSpore, "cpu": embedding_grad_cpu}
    return backends[choose("embedding", backends)]()


def _backward(table: Any, ids: Any, out: Any, dout: Any) -> Any:
    return _table_gradient(dout, ids, table), ops.zeros_like(ids)


_table_gradient: EmbeddingGrad = cpu("embedding_grad", lambda dy, ids, table: table, ms.float32)
_forward: Embedding = cpu("embedding", lambda table, ids: [ids[0], table[1]], ms.float32, bprop=_backward)


def embedding_cpu() -> Embedding:
    """The kernel for CPUs."""
    return _forward


def embedding_grad_cpu() -> EmbeddingGrad:
    """The gradient's kernel for CPUs."""
    return _table_gradient


class EmbeddingGradMindSpore(nn.Cell):
    """MindSpore's own operator; the sums are float32 and rounded once, to the table's type."""

    def __init__(self) -> None:
        super().__init__()
        self.sum_by_id = ops.UnsortedSegmentSum()

    def construct(self, dy: Tensor, ids: Tensor, table: Tensor) -> Tensor:
        """Return the table's gradient."""
        return self.sum_by_id(dy.astype(ms.float32), ids, table.shape[0]).astype(table.dtype)


class EmbeddingMindSpore(nn.Cell):
    """MindSpore's own operator."""

    def __init__(self) -> None:
        super().__init__()
        self.gather, self.gradient = ops.Gather(), EmbeddingGradMindSpore()

    def construct(self, table: Tensor, ids: Tensor) -> Tensor:
        """Return the rows."""
        return self.gather(table, ids, 0)

    def bprop(self, table: Tensor, ids: Tensor, out: Tensor, dout: Tensor) -> Any:
        """Return the gradients of the table and of the ids."""
        return self.gradient(dout, ids, table), ops.zeros_like(ids)
