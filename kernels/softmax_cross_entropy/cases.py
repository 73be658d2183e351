"""The problems of softmax_cross_entropy: rows x classes; every third row does not count."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bert_thor.kernels.cases import Problem, normal, to_bfloat16
from bert_thor.kernels.softmax_cross_entropy import reference

SIZES = (
    (0, 3), (1, 1), (1, 15), (2, 16), (3, 17), (5, 17), (5, 257), (7, 63), (8, 64), (9, 65), (33, 100), (37, 50),
    (70, 1000), (130, 33),
)  # fmt: skip
"""Classes around the lanes (16) and four vectors (64)."""
SMALL = tuple((*sizes, dtype) for sizes in SIZES for dtype in ("fp32", "bf16"))
LARGE = ((240, 30522, "fp32"), (240, 30522, "bf16"))


def problems(rows: int, classes: int, dtype: str) -> Iterator[Problem]:
    """Forward and backward. Bytes: logits; logits and their gradient. A rounding counts as often as the largest logit is large."""
    logits, bias, dloss = 3 * normal(rows, classes), normal(classes, seed=1), np.full(1, 1.7, np.float32)
    random = np.random.default_rng(rows)
    weights = np.where(np.arange(rows) % 3 == 2, 0, random.random(rows)).astype(np.float32)
    inputs = (logits, bias, random.integers(0, classes, rows, np.int32), weights)
    condition = 1 + float(np.abs(logits + bias).max(initial=0))
    label = f"{dtype} {rows}x{classes}"
    if dtype == "bf16":
        inputs = (to_bfloat16(logits), *inputs[1:])
    forward = Problem("softmax_cross_entropy", f"forward {label}", inputs, classes * condition, inputs[0].nbytes)
    yield forward
    log_sum_exp = forward.exact(reference)[2]
    yield Problem(
        "softmax_cross_entropy_grad", f"backward {label}", (dloss, *inputs, log_sum_exp), (rows + classes) * condition,
        2 * inputs[0].nbytes, reference_arguments=(dloss, *inputs),
    )  # fmt: skip
