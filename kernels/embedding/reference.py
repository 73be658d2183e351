"""Rows of a table by index in NumPy: what the operation means."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def embedding(table: ArrayLike, ids: ArrayLike) -> NDArray[np.float32]:
    """y[r] = table[ids[r]]: table [vocabulary, features], ids [rows] in [0, vocabulary), y [rows, features]."""
    return np.asarray(table, np.float32)[np.asarray(ids)]


def embedding_grad(dy: ArrayLike, ids: ArrayLike, vocabulary: int) -> NDArray[np.float32]:
    """dtable [vocabulary, features]: row v is the sum of the rows r of dy with ids[r] = v."""
    rows = np.asarray(dy, np.float64)
    dtable = np.zeros((vocabulary, rows.shape[1]))
    np.add.at(dtable, np.asarray(ids), rows)
    return dtable.astype(np.float32)
