"""The problems of attention: `batch` sequences of `length` tokens, heads of `size` features, a quarter of the keys padded."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bert_thor.kernels.attention import reference
from bert_thor.kernels.cases import PROBABILITY, SEED, SITE, Problem, normal

SIZES = (
    (1, 1, 1, 1), (2, 3, 5, 7), (1, 2, 8, 8), (1, 2, 15, 16), (2, 1, 16, 15), (1, 1, 17, 17), (1, 2, 33, 31),
    (1, 2, 63, 32), (2, 2, 64, 33), (1, 1, 65, 64), (1, 1, 130, 20),
)  # fmt: skip
"""(batch, heads, length, size): around the register tile (8), the vector (16) and the block of queries (64)."""
SMALL = tuple((*sizes, probability) for sizes in SIZES for probability in (0.0, PROBABILITY))
LARGE = ((12, 12, 128, 64, PROBABILITY), (4, 16, 512, 64, PROBABILITY))
ELEMENTARY = 12
"""Roundings of an exponential, a logarithm and of the scores that go into them."""


def problems(batch: int, heads: int, length: int, size: int, probability: float) -> Iterator[Problem]:
    """Forward and backward. FLOP: two products forward, five backward; the exponentials come on top."""
    rows, hidden = batch * length, heads * size
    qkv, bias, dout = normal(rows, 3 * hidden), normal(3 * hidden, seed=1), normal(rows, hidden, seed=2)
    padded = np.random.default_rng(rows).random((batch, length)) < 0.25
    inputs = (qkv, bias, np.where(padded, -1e4, 0.0).astype(np.float32))
    dropout = (probability, SEED, SITE)
    label, product = f"fp32 {batch} x {length}, {heads} heads of {size}", 2 * batch * length**2 * hidden
    yield Problem(
        "attention", f"forward {label}", (*inputs, heads, *dropout), length + size + ELEMENTARY, 2 * product, "fp32"
    )
    log_sum_exp = reference.attention(*inputs, heads, 0.0, SEED, SITE)[1]
    yield Problem(
        "attention_grad", f"backward {label}", (dout, *inputs, log_sum_exp, *dropout), rows + size + ELEMENTARY,
        5 * product, "fp32", reference_arguments=(dout, *inputs, heads, *dropout),
    )  # fmt: skip
