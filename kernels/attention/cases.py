"""The problems of attention: `batch` sequences of `length` tokens, heads of `size` features; a quarter of the keys are padding."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bert_thor.kernels.arrays import Array
from bert_thor.kernels.attention import reference
from bert_thor.kernels.cases import BFLOAT16_UNIT, PROBABILITY, SEED, SITE, Problem, from_bfloat16, normal

SIZES = (
    (1, 1, 1, 1), (2, 3, 5, 7), (1, 2, 8, 8), (1, 2, 15, 16), (2, 1, 16, 15), (1, 1, 17, 17), (1, 2, 33, 31),
    (1, 2, 63, 32), (2, 2, 64, 33), (1, 1, 65, 64), (1, 1, 130, 20),
)  # fmt: skip
"""(batch, heads, length, size): around the register tile (8), the vector (16) and the block of queries (64)."""
SMALL = tuple(
    (*sizes, dtype, probability) for sizes in SIZES for dtype in ("fp32", "bf16") for probability in (0.0, PROBABILITY)
)
LARGE = tuple(
    (*sizes, dtype, PROBABILITY) for sizes in ((12, 12, 128, 64), (4, 16, 512, 64)) for dtype in ("fp32", "bf16")
)
ELEMENTARY = 12
"""Roundings of an exponential, a logarithm and of the scores that go into them."""


def problems(batch: int, heads: int, length: int, size: int, dtype: str, probability: float) -> Iterator[Problem]:
    """Forward and backward. FLOP: two products forward, five backward; the exponentials come on top."""
    rows, hidden = batch * length, heads * size
    qkv, dout = normal(rows, 3 * hidden, dtype=dtype), normal(rows, hidden, seed=2, dtype=dtype)
    bias = normal(3 * hidden, seed=1)
    padded = np.random.default_rng(rows).random((batch, length)) < 0.25
    padded[:, 0] = False
    mask = np.where(padded, reference.MASKED, 0.0).astype(np.float32)
    wide_dout, wide_qkv = (from_bfloat16(array) if dtype == "bf16" else array for array in (dout, qkv))
    given, dropout = (qkv, bias, mask), (probability, SEED, SITE)
    forward, backward = _roundings(wide_dout, wide_qkv, bias, mask, heads, probability) if dtype == "bf16" else ((), ())
    label, product = f"{dtype} {batch} x {length}, {heads} heads of {size}", 2 * batch * length**2 * hidden
    yield Problem(
        "attention", f"forward {label}", (*given, heads, *dropout), length + size + ELEMENTARY, 2 * product, dtype,
        rounded=forward,
    )  # fmt: skip
    log_sum_exp = reference.attention(wide_qkv, bias, mask, heads, 0.0, SEED, SITE)[1]
    yield Problem(
        "attention_grad", f"backward {label}", (dout, *given, log_sum_exp, *dropout), rows + size + ELEMENTARY,
        5 * product, dtype, reference_arguments=(dout, *given, heads, *dropout), rounded=backward,
    )  # fmt: skip


def _roundings(
    dout: Array, qkv: Array, bias: Array, mask: Array, heads: int, probability: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What rounding the weights and the gradient of the scores to bfloat16 can change in the results of both functions.

    They are multiplied by what is stored: the biases come in afterwards.
    """
    problem = (dout, qkv, bias, mask, heads, probability, SEED, SITE)
    weights, dscores = reference.weights_and_score_gradient(*problem)
    q, k, v, dy = (np.abs(part) for part in reference.split_heads(qkv, 0 * bias, mask, heads, dout))
    out = float((weights @ v).max(initial=0))
    dqkv = reference.gradient_products(weights, np.abs(dscores), q, k, dy)
    return (BFLOAT16_UNIT * out, 0.0), (
        BFLOAT16_UNIT * float(dqkv.max(initial=0)),
        BFLOAT16_UNIT * float(dqkv.sum(axis=0).max(initial=0)),
    )
