"""Rows of a table by index as a MindSpore operator with its own gradient."""

from __future__ import annotations

from typing import Any

import mindspore as ms
from mindspore import Tensor, ops

from bert_thor.ops._custom import aot


def _backward(table: Any, ids: Any, out: Any, dout: Any) -> Any:
    return _table_gradient(dout, ids, table), ops.zeros_like(ids)


_table_gradient = aot("embedding_grad", lambda dy, ids, table: table, ms.float32)
_forward = aot("embedding", lambda table, ids: [ids[0], table[1]], ms.float32, bprop=_backward)


def embedding(table: Tensor, ids: Tensor) -> Tensor:
    """y[r] = table[ids[r]]: table [vocabulary, features] float32, ids [rows] int32 in [0, vocabulary).

    The gradient of the table adds the rows in their order: the same bits on every run. Graph mode and PyNative.
    """
    return _forward(table, ids)


def embedding_grad(dy: Tensor, ids: Tensor, table: Tensor) -> Tensor:
    """The gradient of `embedding`'s table: row v is the sum of dy[r] over the rows with ids[r] = v, in their order.

    dy [rows, features] float32, ids [rows] int32; of `table` only the shape matters.
    """
    return _table_gradient(dy, ids, table)
