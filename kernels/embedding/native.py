"""Rows of a table by index by the compiled kernel; `reference.py` says what it means."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from bert_thor.kernels.arrays import Array, check_array, make_outputs
from bert_thor.kernels.library import load_native

_STORAGE = (np.float32, np.uint16)


def embedding(
    table: Array, ids: Array, bfloat16: bool = False, *, threads: int = 0, out: Optional[tuple[Array]] = None
) -> Array:
    """`reference.embedding`: table [vocabulary, features], ids [rows] int32.

    The table is float32, or uint16 holding bfloat16 bit patterns; the result is bfloat16 where the table is, or `bfloat16`
    asks for it. `threads` 0: `library.num_threads()`. `out`: a tuple with the array to write into. Raises TypeError,
    ValueError or KernelError.
    """
    check_array("embedding", "table", table, _STORAGE)
    if table.ndim != 2 or 0 in table.shape:
        raise ValueError(f"embedding: table has shape {table.shape}; pass a matrix with at least one element.")
    vocabulary, features = table.shape
    rows = _check_ids("embedding", ids, vocabulary)
    stored = np.uint16 if bfloat16 else table.dtype.type
    outputs = make_outputs("embedding", out, ((rows, features),), (stored,))
    call = getattr(load_native(), f"embedding_{_suffix(table.dtype, outputs[0].dtype)}")
    call(table, ids, vocabulary, rows, features, outputs[0], threads)
    return outputs[0]


def embedding_grad(
    dy: Array,
    ids: Array,
    vocabulary: int,
    bfloat16: bool = False,
    *,
    threads: int = 0,
    out: Optional[tuple[Array]] = None,
) -> Array:
    """`reference.embedding_grad`: dy [rows, features], ids [rows] int32; the bits do not depend on threads.

    dy is float32, or uint16 holding bfloat16 bit patterns; `bfloat16`: so is the result, of such a dy, else it is float32.
    """
    rows = _check_ids("embedding_grad", ids, vocabulary)
    check_array("embedding_grad", "dy", dy, (np.uint16,) if bfloat16 else _STORAGE)
    if dy.ndim != 2 or dy.shape[0] != rows or dy.shape[1] == 0:
        raise ValueError(f"embedding_grad: dy has shape {dy.shape}; pass ({rows}, features) with features > 0.")
    stored = np.uint16 if bfloat16 else np.float32
    outputs = make_outputs("embedding_grad", out, ((vocabulary, dy.shape[1]),), (stored,))
    call = getattr(load_native(), f"embedding_grad_{_suffix(outputs[0].dtype, dy.dtype)}")
    call(dy, ids, vocabulary, rows, dy.shape[1], outputs[0], threads)
    return outputs[0]


def _suffix(table: np.dtype[Any], rows: np.dtype[Any]) -> str:
    """Of the kernel for a table and rows of these types."""
    if table == np.uint16:
        return "bf16"
    return "f32_bf16" if rows == np.uint16 else "f32"


def _check_ids(operation: str, ids: Array, vocabulary: int) -> int:
    check_array(operation, "ids", ids, (np.int32,))
    if ids.ndim != 1:
        raise ValueError(f"{operation}: ids has shape {ids.shape}; pass a vector.")
    outside = ids[(ids < 0) | (ids >= vocabulary)]
    if outside.size:
        raise ValueError(f"{operation}: id {outside[0]} is outside [0, {vocabulary}); ids index the rows of the table.")
    return int(ids.size)
