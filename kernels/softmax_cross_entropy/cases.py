"""The problems of softmax_cross_entropy: rows x classes; every third row does not count."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bert_thor.kernels.cases import Problem, normal
from bert_thor.kernels.softmax_cross_entropy import reference

SMALL = (
    (0, 3), (1, 1), (1, 15), (2, 16), (3, 17), (5, 17), (5, 257), (7, 63), (8, 64), (9, 65), (33, 100), (37, 50),
    (70, 1000), (130, 33),
)  # fmt: skip
"""Classes around the lanes (16) and four vectors (64)."""
LARGE = ((240, 30522),)


def problems(rows: int, classes: int) -> Iterator[Problem]:
    """Forward and backward. Bytes: logits; logits and their gradient. A rounding counts as often as the largest logit is large."""
    logits, bias, dloss = 3 * normal(rows, classes), normal(classes, seed=1), np.full(1, 1.7, np.float32)
    random = np.random.default_rng(rows)
    weights = np.where(np.arange(rows) % 3 == 2, 0, random.random(rows)).astype(np.float32)
    inputs = (logits, bias, random.integers(0, classes, rows, np.int32), weights)
    condition = 1 + float(np.abs(logits + bias).max(initial=0))
    label = f"fp32 {rows}x{classes}"
    yield Problem("softmax_cross_entropy", f"forward {label}", inputs, classes * condition, logits.nbytes)
    log_sum_exp = reference.softmax_cross_entropy(*inputs)[2]
    yield Problem(
        "softmax_cross_entropy_grad", f"backward {label}", (dloss, *inputs, log_sum_exp), (rows + classes) * condition,
        2 * logits.nbytes, reference_arguments=(dloss, *inputs),
    )  # fmt: skip
