"""The problems of Adam: a tensor [rows, columns] with a factor for each of its equal parts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bert_thor.kernels.cases import PARTS, Problem, normal

SMALL = tuple((parts, elements, parts) for parts, elements in PARTS)
LARGE = ((3072, 768, 1), (4096, 1024, 1))
BETAS, CORRECTION, EPS, RATE, DECAY = (0.9, 0.98), 0.7, 1e-8, 0.5, 0.1


def problems(rows: int, columns: int, parts: int) -> Iterator[Problem]:
    """The direction of a step, and the step. Bytes: the moments (and the weight) read and written, the gradient (and direction)."""
    weight, first, gradient, root = (normal(rows, columns, seed=seed) for seed in range(4))
    factors = np.random.default_rng(parts).uniform(0.5, 2, parts).astype(np.float32)
    tensors = (first, np.square(root) + np.float32(0.1), gradient, factors)
    correction, eps, rate, decay = (np.array([value], np.float32) for value in (CORRECTION, EPS, RATE, DECAY))
    yield Problem(
        "adam", f"direction fp32 {rows}x{columns}", (*tensors, BETAS, CORRECTION, EPS), 2, 6 * first.nbytes, state=2,
        operator_arguments=(BETAS, (*tensors, correction, eps)),
    )  # fmt: skip
    yield Problem(
        "adam_update", f"step fp32 {rows}x{columns}", (weight, *tensors, BETAS, CORRECTION, EPS, RATE, DECAY), 2,
        7 * first.nbytes, state=3, operator_arguments=(BETAS, (weight, *tensors, correction, eps, rate, decay)),
    )  # fmt: skip
