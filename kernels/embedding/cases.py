"""The problems of embedding: `rows` indices into a table of vocabulary x features."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bert_thor.kernels.cases import Problem, normal

SMALL = (
    (0, 1, 1), (1, 1, 1), (3, 30, 17), (5, 30, 257), (10, 3, 5), (7, 100, 16), (37, 30, 50), (333, 50, 17),
    (200, 1000, 33),
)  # fmt: skip
"""(rows, vocabulary, features): fewer and more rows than the table has, features around the lanes (16)."""
LARGE = ((1536, 30522, 768),)


def problems(rows: int, vocabulary: int, features: int) -> Iterator[Problem]:
    """Forward and backward. Bytes: the rows read and written; the rows and the whole table's gradient."""
    table, dy = normal(vocabulary, features), normal(rows, features, seed=1)
    ids = np.random.default_rng(rows).integers(0, vocabulary, rows, np.int32)
    label = f"fp32 {rows} of {vocabulary}x{features}"
    yield Problem("embedding", f"forward {label}", (table, ids), 1, 2 * dy.nbytes)
    yield Problem(
        "embedding_grad", f"backward {label}", (dy, ids, vocabulary), rows + 1, dy.nbytes + table.nbytes,
        operator_arguments=((), (dy, ids, table)),
    )  # fmt: skip
