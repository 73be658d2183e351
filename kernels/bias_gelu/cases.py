"""The problems of bias_gelu: rows x features."""

from __future__ import annotations

from collections.abc import Iterator

from bert_thor.kernels.cases import Problem, normal

SIZES = (
    (0, 3), (1, 1), (2, 5), (3, 15), (3, 17), (4, 16), (5, 17), (5, 257), (31, 33), (32, 64), (33, 100), (37, 50),
    (70, 257), (2100, 9),
)  # fmt: skip
"""Rows around the chunk (32), features around the lanes (16) and four vectors (64)."""
SMALL = tuple((*sizes, dtype) for sizes in SIZES for dtype in ("fp32", "bf16"))
LARGE = ((1536, 3072, "fp32"), (1536, 3072, "bf16"), (1536, 4096, "fp32"))


def problems(rows: int, features: int, dtype: str) -> Iterator[Problem]:
    """Forward and backward. Bytes: x and y; dy, x and dx."""
    x, bias, dy = normal(rows, features), normal(features, seed=1), normal(rows, features, seed=2)
    condition = 3 + float((x + bias).max(initial=0)) ** 2 / 2  # of u Phi(u), where rounding u counts
    x, dy = normal(rows, features, dtype=dtype), normal(rows, features, seed=2, dtype=dtype)
    yield Problem("bias_gelu", f"forward {dtype} {rows}x{features}", (x, bias), condition, 2 * x.nbytes)
    label = f"backward {dtype} {rows}x{features}"
    yield Problem("bias_gelu_grad", label, (dy, x, bias), rows + condition, 3 * x.nbytes)
