"""The problems of embedding: `rows` indices into a table of vocabulary x features."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bert_thor.kernels.cases import Problem, normal

SIZES = (
    (0, 1, 1), (1, 1, 1), (3, 30, 17), (5, 30, 257), (10, 3, 5), (7, 100, 16), (37, 30, 50), (333, 50, 17),
    (200, 1000, 33),
)  # fmt: skip
"""(rows, vocabulary, features): fewer and more rows than the table has, features around the lanes (16)."""
STORAGE = (("fp32", "fp32"), ("fp32", "bf16"), ("bf16", "bf16"))
"""Of the table and of the rows."""
SMALL = tuple((*sizes, *storage) for sizes in SIZES for storage in STORAGE)
LARGE = ((1536, 30522, 768, "fp32", "fp32"), (1536, 30522, 768, "fp32", "bf16"), (160, 1024, 768, "bf16", "bf16"))


def problems(rows: int, vocabulary: int, features: int, table_dtype: str, dtype: str) -> Iterator[Problem]:
    """Forward and backward. Bytes: the rows read and written; the rows and the whole table's gradient."""
    table, dy = normal(vocabulary, features, dtype=table_dtype), normal(rows, features, seed=1, dtype=dtype)
    ids = np.random.default_rng(rows).integers(0, vocabulary, rows, np.int32)
    label = f"{table_dtype} {rows} of {vocabulary}x{features}"
    if dtype != table_dtype:
        label = f"{dtype} from {label}"
    yield Problem(
        "embedding", f"forward {label}", (table, ids, dtype == "bf16"), 1, rows * features * table.itemsize + dy.nbytes,
        reference_arguments=(table, ids),
        operator_arguments=(("bfloat16" if dtype == "bf16" else "float32",), (table, ids)),
    )  # fmt: skip
    yield Problem(
        "embedding_grad", f"backward {label}", (dy, ids, vocabulary, table_dtype == "bf16"), rows + 1,
        dy.nbytes + table.nbytes, reference_arguments=(dy, ids, vocabulary), operator_arguments=((), (dy, ids, table)),
    )  # fmt: skip
