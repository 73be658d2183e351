"""Rows of a table by index as a MindSpore operator with its own gradient."""

from __future__ import annotations

from typing import Any, Callable

import mindspore as ms
from mindspore import Tensor, nn, ops

from bert_thor.ops._backend import choose
from bert_thor.ops._custom import SAME, cpu, dtypes, refuse_float16

Embedding = Callable[[Tensor, Tensor], Tensor]
EmbeddingGrad = Callable[[Tensor, Tensor, Tensor], Tensor]


def embedding(dtype: Any = ms.float32) -> Embedding:
    """The operator (table, ids) -> y with y[r] = table[ids[r]]; table [vocabulary, features], ids [rows] int32 in
    [0, vocabulary).

    A float32 table gives rows of `dtype`, float32, bfloat16 (cpu) or float16 (mindspore); one of 16 bits, such as activations
    of which some rows are wanted, gives rows of its own. Its gradient is `embedding_grad`. Graph mode and PyNative.
    """
    backends: dict[str, Callable[[Any], Embedding]] = {"mindspore": EmbeddingMindSpore, "cpu": embedding_cpu}
    return backends[choose("embedding", backends)](dtype)


def embedding_grad() -> EmbeddingGrad:
    """The operator (dy, ids, table) -> dtable: row v is the sum of dy[r] over the rows with ids[r] = v.

    dy [rows, features] as the forward pass gave y, ids [rows] int32; of `table` only shape and dtype matter, which are those
    of dtable. `cpu` adds the rows in their order, in float32, and rounds a bfloat16 dtable once: the same bits on every run.
    """
    backends: dict[str, Callable[[], EmbeddingGrad]] = {"mindspore": EmbeddingGradMindSpore, "cpu": embedding_grad_cpu}
    return backends[choose("embedding", backends)]()


def _backward(table: Any, ids: Any, out: Any, dout: Any) -> Any:
    return _table_gradient(dout, ids, table), ops.zeros_like(ids)


_table_gradient: EmbeddingGrad = cpu("embedding_grad", lambda dy, ids, table: table, dtypes("embedding_grad", 2, SAME))


def embedding_cpu(dtype: Any) -> Embedding:
    """The kernel for CPUs."""
    refuse_float16("embedding", dtype)
    of_table = dtypes("embedding", 0, SAME)

    def rows(table: Any, ids: Any) -> Any:
        stored = of_table(table, ids)
        return dtype if stored == ms.float32 else stored

    operator = cpu("embedding", lambda table, ids: [ids[0], table[1]], rows, bprop=_backward)
    # MindSpore takes operators with equal attributes for one and the same.
    operator.add_prim_attr("rows", str(dtype))
    return operator


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

    def __init__(self, dtype: Any) -> None:
        super().__init__()
        self.dtype, self.gather, self.gradient = dtype, ops.Gather(), EmbeddingGradMindSpore()

    def construct(self, table: Tensor, ids: Tensor) -> Tensor:
        """Return the rows."""
        rows = self.gather(table, ids, 0)
        if table.dtype == ms.float32:
            rows = rows.astype(self.dtype)
        return rows

    def bprop(self, table: Tensor, ids: Tensor, out: Tensor, dout: Tensor) -> Any:
        """Return the gradients of the table and of the ids."""
        return self.gradient(dout, ids, table), ops.zeros_like(ids)
