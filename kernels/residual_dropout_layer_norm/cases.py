"""The problems of residual_dropout_layer_norm: rows x features, float32 or bfloat16 storage."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bert_thor.kernels.cases import PROBABILITY, SEED, SITE, Problem, normal, to_bfloat16
from bert_thor.kernels.residual_dropout_layer_norm import reference

SIZES = ((0, 5), (1, 1), (3, 7), (4, 16), (5, 17), (9, 31), (31, 64), (33, 100), (66, 257), (7, 511), (5, 1030))
"""Rows around the group of 4 and the chunk of 32; features not a multiple of 4 (the counters), around 16 and 512."""
SMALL = tuple((*sizes, "fp32", probability) for sizes in SIZES for probability in (0.0, PROBABILITY))
LARGE = ((1536, 768, "fp32", PROBABILITY), (6144, 1024, "fp32", PROBABILITY), (6144, 1024, "bf16", PROBABILITY))
ASCEND = ((24, 64), (1, 16), (7, 32), (9, 48), (33, 80), (257, 128), (40, 272), (30, 768), (70, 1024))
"""Rows around a group of 8, a batch and the cores; features around a block, a repeat and a fractal."""
ASCEND_LARGE = ((6144, 1024),)
EPS = 1e-12


def problems(rows: int, features: int, dtype: str, probability: float) -> Iterator[Problem]:
    """Forward and backward. Bytes: x, residual, sum and y; dy, sum, dx and dresidual."""
    x, residual, dy = (normal(rows, features, seed=seed) for seed in (0, 1, 5))
    bias, gamma, beta = (normal(features, seed=seed) for seed in (2, 3, 4))
    dropout = (probability, SEED, SITE)
    arrays, nothing_dropped = (
        (x, bias, residual, gamma, beta),
        (0.0, SEED, SITE),
    )  # any sum serves, and this one is cheap
    _, total, mean, rstd = reference.residual_dropout_layer_norm(*arrays, EPS, *nothing_dropped)
    condition = 1 + float((np.abs(total).max(axis=1, initial=0) * rstd).max(initial=0))  # of centring the sum
    if dtype == "bf16":
        x, residual, total, dy = (to_bfloat16(array) for array in (x, residual, total, dy))
    forward, backward = (x, bias, residual, gamma, beta, EPS, *dropout), (dy, total, gamma, mean, rstd, *dropout)
    name, label, work = "residual_dropout_layer_norm", f"{dtype} {rows}x{features}", 4 * x.nbytes
    yield Problem(name, f"forward {label}", forward, features * condition, work, bfloat16=(0, 2))
    length = (rows + features) * condition
    yield Problem(f"{name}_grad", f"backward {label}", backward, length, work, bfloat16=(0, 1))
