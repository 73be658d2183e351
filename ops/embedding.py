"""Rows of a table by index as a MindSpore operator with its own gradient."""

from __future__ import annotations

from typing import Any, Callable

import mindspore as ms
from mindspore import Tensor, nn, ops

from bert_thor.ops._backend import choose
from bert_thor.ops._custom import aot

Embedding = Callable[[Tensor, Tensor], Tensor]
EmbeddingGrad = Callable[[Tensor, Tensor, Tensor], Tensor]


def embedding() -> Embedding:
    """The operator (table, ids) -> y with y[r] = table[ids[r]]; table [vocabulary, features] float32, ids [rows] int32 in
    [0, vocabulary).

    Its gradient is `embedding_grad`. Graph mode and PyNative.
    """
    backends: dict[str, Callable[[], Embedding]] = {"mindspore": Composed, "aot": lambda: _forward}
    return backends[choose("embedding", backends)]()


def embedding_grad() -> EmbeddingGrad:
    """The operator (dy, ids, table) -> dtable: row v is the sum of dy[r] over the rows with ids[r] = v.

    dy [rows, features] float32, ids [rows] int32; of `table` only the shape matters. aot adds the rows in their order: the
    same bits on every run.
    """
    backends: dict[str, Callable[[], EmbeddingGrad]] = {"mindspore": ComposedGrad, "aot": lambda: _table_gradient}
    return backends[choose("embedding", backends)]()


def _backward(table: Any, ids: Any, out: Any, dout: Any) -> Any:
    return _table_gradient(dout, ids, table), ops.zeros_like(ids)


_table_gradient = aot("embedding_grad", lambda dy, ids, table: table, ms.float32)
_forward = aot("embedding", lambda table, ids: [ids[0], table[1]], ms.float32, bprop=_backward)


class ComposedGrad(nn.Cell):
    """MindSpore's own operator."""

    def __init__(self) -> None:
        super().__init__()
        self.sum_by_id = ops.UnsortedSegmentSum()

    def construct(self, dy: Tensor, ids: Tensor, table: Tensor) -> Tensor:
        """Return the table's gradient."""
        return self.sum_by_id(dy, ids, table.shape[0])


class Composed(nn.Cell):
    """MindSpore's own operator, which knows its gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.gather = ops.Gather()

    def construct(self, table: Tensor, ids: Tensor) -> Tensor:
        """Return the rows."""
        return self.gather(table, ids, 0)
