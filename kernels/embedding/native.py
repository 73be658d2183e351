"""Rows of a table by index by the compiled kernel; `reference.py` says what it means."""

from __future__ import annotations

from typing import Optional

import numpy as np

from bert_thor.kernels.arrays import Array, check_array, make_outputs
from bert_thor.kernels.library import load_native


def embedding(table: Array, ids: Array, *, threads: int = 0, out: Optional[tuple[Array]] = None) -> Array:
    """`reference.embedding`: table [vocabulary, features] float32, ids [rows] int32.

    `threads` 0: `library.num_threads()`. `out`: a tuple with the array to write into. Raises TypeError, ValueError or
    KernelError.
    """
    check_array("embedding", "table", table, (np.float32,))
    if table.ndim != 2 or 0 in table.shape:
        raise ValueError(f"embedding: table has shape {table.shape}; pass a matrix with at least one element.")
    vocabulary, features = table.shape
    rows = _check_ids("embedding", ids, vocabulary)
    outputs = make_outputs("embedding", out, ((rows, features),), (np.float32,))
    load_native().embedding_f32(table, ids, vocabulary, rows, features, outputs[0], threads)
    return outputs[0]


def embedding_grad(
    dy: Array, ids: Array, vocabulary: int, *, threads: int = 0, out: Optional[tuple[Array]] = None
) -> Array:
    """`reference.embedding_grad`: dy [rows, features] float32, ids [rows] int32; the bits do not depend on threads."""
    rows = _check_ids("embedding_grad", ids, vocabulary)
    check_array("embedding_grad", "dy", dy, (np.float32,))
    if dy.ndim != 2 or dy.shape[0] != rows or dy.shape[1] == 0:
        raise ValueError(f"embedding_grad: dy has shape {dy.shape}; pass ({rows}, features) with features > 0.")
    outputs = make_outputs("embedding_grad", out, ((vocabulary, dy.shape[1]),), (np.float32,))
    load_native().embedding_grad_f32(dy, ids, vocabulary, rows, dy.shape[1], outputs[0], threads)
    return outputs[0]


def _check_ids(operation: str, ids: Array, vocabulary: int) -> int:
    check_array(operation, "ids", ids, (np.int32,))
    if ids.ndim != 1:
        raise ValueError(f"{operation}: ids has shape {ids.shape}; pass a vector.")
    outside = ids[(ids < 0) | (ids >= vocabulary)]
    if outside.size:
        raise ValueError(f"{operation}: id {outside[0]} is outside [0, {vocabulary}); ids index the rows of the table.")
    return int(ids.size)
