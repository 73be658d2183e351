"""The problems of layer_norm: rows x features, float32 or bfloat16 storage with float32 scale and shift."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bert_thor.kernels.cases import Problem, normal
from bert_thor.kernels.layer_norm import reference

SIZES = (
    (0, 5), (1, 1), (2, 3), (3, 15), (4, 16), (5, 17), (7, 31), (8, 63), (9, 64), (31, 65), (32, 100), (33, 128),
    (63, 48), (65, 33), (130, 257), (2100, 20), (3, 1024), (5, 1100),
)  # fmt: skip
"""Rows around two and the chunk of 32; features around the vector (16), four of them (64) and a short row (1024)."""
SMALL = tuple((*sizes, "fp32") for sizes in SIZES)
LARGE = ((1536, 768, "fp32"), (6144, 1024, "fp32"), (6144, 1024, "bf16"))
ASCEND = (
    (24, 64), (1, 16), (7, 32), (8, 48), (9, 64), (33, 80), (100, 112), (257, 128), (300, 144), (40, 768), (70, 1024),
)  # fmt: skip
"""Rows around a group of 8, a batch and the cores; features around a block, a repeat of fp32 and of fp16."""
ASCEND_LARGE = ((6144, 1024),)
EPS = 1e-12


def problems(rows: int, features: int, dtype: str) -> Iterator[Problem]:
    """Forward and backward. Bytes: x and y; dy, x and dx."""
    x, dy = normal(rows, features), normal(rows, features, seed=3)
    gamma, beta = normal(features, seed=1), normal(features, seed=2)
    _, mean, rstd = reference.layer_norm(x, gamma, beta, EPS)
    condition = 1 + float((np.abs(x).max(axis=1, initial=0) * rstd).max(initial=0))  # of centring x
    x, dy = normal(rows, features, dtype=dtype), normal(rows, features, dtype=dtype, seed=3)
    forward, backward = (x, gamma, beta, EPS), (dy, x, gamma, mean, rstd)
    label, length = f"{dtype} {rows}x{features}", features * condition
    yield Problem("layer_norm", f"forward {label}", forward, length, 2 * x.nbytes, bfloat16=(0,))
    length = (rows + features) * condition
    yield Problem("layer_norm_grad", f"backward {label}", backward, length, 3 * x.nbytes, bfloat16=(0, 1))
