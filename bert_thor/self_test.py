"""Every compiled kernel against its reference, on small sizes, at every instruction set of this processor.

This is what `bert-thor doctor` runs to find a broken build or a broken machine in a second; the kernels' own tests look
for everything else. Needs no MindSpore.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Callable, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bert_thor.kernels.library import InstructionSet, instruction_set, library_path, set_instruction_set

Array = NDArray[Any]
UNIT = 2.0**-24  # unit roundoff of float32
ROUNDINGS = 4
"""A kernel may differ by this many roundings, times the length of its longest sum, of the largest element."""


class Comparison(NamedTuple):
    """One call of a kernel and the same call of its reference."""

    function: str
    arguments: tuple[Any, ...]
    reference_arguments: tuple[Any, ...]
    length: float  # of the longest sum, times the condition where the operation has one


class Verdict(NamedTuple):
    """How one operation did on one instruction set."""

    operation: str
    instruction_set: InstructionSet
    share: float  # largest error over what is allowed; NaN or above 1: the kernel is wrong

    @property
    def passed(self) -> bool:
        """False for a NaN too."""
        return self.share <= 1.0


def operations() -> list[str]:
    """The operations that kernels/ holds, by the folders that have a compiled form."""
    return sorted(path.parent.name for path in library_path().parent.glob("*/native.py"))


def self_test() -> Iterator[Verdict]:
    """Compare every operation on every instruction set up to the one in use, which is in use again afterwards."""
    highest = instruction_set()
    try:
        for operation in operations():
            for isa in InstructionSet:
                if isa <= highest and set_instruction_set(isa) == isa:
                    yield Verdict(operation, isa, _share(operation))
    finally:
        set_instruction_set(highest)


def _share(operation: str) -> float:
    """Largest error of the operation's comparisons as a share of what is allowed; infinite without a comparison."""
    if operation not in COMPARISONS:
        return float("inf")
    native = import_module(f"bert_thor.kernels.{operation}.native")
    reference = import_module(f"bert_thor.kernels.{operation}.reference")
    shares = []
    for case in COMPARISONS[operation](np.random.default_rng(1), reference):
        ours = _as_tuple(getattr(native, case.function)(*case.arguments))
        theirs = _as_tuple(getattr(reference, case.function)(*case.reference_arguments))
        shares += [_error(one, other, case.length) for one, other in zip(ours, theirs)]
    return float(np.max(shares))  # a NaN stays one


def _error(ours: Array, exact: Array, length: float) -> float:
    allowed = ROUNDINGS * UNIT * length * max(float(np.abs(exact).max()), 1e-30)
    return float(np.abs(ours.astype(np.float64) - exact).max()) / allowed


def _as_tuple(value: Any) -> tuple[Array, ...]:
    return value if isinstance(value, tuple) else (value,)


def _both(function: str, arguments: tuple[Any, ...], length: float) -> Comparison:
    return Comparison(function, arguments, arguments, length)


def _normal(random: np.random.Generator, *shape: int) -> Array:
    return random.standard_normal(shape, dtype=np.float32)


_ROWS, _FEATURES, _BLOCK = 37, 50, 16
_SEED = np.array([5, -7, 3, 2], np.int32)
_DROPOUT = (0.1, _SEED, 4)  # probability, seed, site


def _fisher_covariance(random: np.random.Generator, _: Any) -> list[Comparison]:
    return [_both("fisher_covariance", (_normal(random, _ROWS, _FEATURES), _BLOCK), _ROWS)]


def _cholesky_inverse(random: np.random.Generator, _: Any) -> list[Comparison]:
    x = _normal(random, 5, 4 * _FEATURES, _FEATURES)
    c = (x.transpose(0, 2, 1) @ x / x.shape[1]).astype(np.float32)
    damping = np.full(5, 0.1, np.float32)
    condition = float(np.linalg.cond(c + 0.1 * np.eye(_FEATURES)).max())
    return [_both("cholesky_inverse", (c, damping), _FEATURES * condition)]


def _precondition(random: np.random.Generator, _: Any) -> list[Comparison]:
    blocks = -(-_FEATURES // _BLOCK)
    arguments = (_normal(random, 2, 25, 25), _normal(random, 40, _FEATURES), _normal(random, blocks, _BLOCK, _BLOCK))
    return [_both("precondition", arguments, 25 * _BLOCK)]


def _layer_norm(random: np.random.Generator, reference: Any) -> list[Comparison]:
    x, gamma, beta = _normal(random, _ROWS, _FEATURES), _normal(random, _FEATURES), _normal(random, _FEATURES)
    _, mean, rstd = reference.layer_norm(x, gamma, beta)
    backward = (_normal(random, _ROWS, _FEATURES), x, gamma, mean, rstd)
    return [_both("layer_norm", (x, gamma, beta), _FEATURES), _both("layer_norm_grad", backward, _FEATURES)]


def _dropout(random: np.random.Generator, _: Any) -> list[Comparison]:
    return [_both("dropout", (_normal(random, _ROWS, _FEATURES), *_DROPOUT), 1)]


def _residual_dropout_layer_norm(random: np.random.Generator, reference: Any) -> list[Comparison]:
    x, residual = _normal(random, _ROWS, _FEATURES), _normal(random, _ROWS, _FEATURES)
    bias, gamma, beta = (_normal(random, _FEATURES) for _ in range(3))
    forward = (x, bias, residual, gamma, beta, 1e-12, *_DROPOUT)
    _, total, mean, rstd = reference.residual_dropout_layer_norm(*forward)
    backward = (_normal(random, _ROWS, _FEATURES), total, gamma, mean, rstd, *_DROPOUT)
    return [
        _both("residual_dropout_layer_norm", forward, _FEATURES),
        _both("residual_dropout_layer_norm_grad", backward, _FEATURES),
    ]


def _bias_gelu(random: np.random.Generator, _: Any) -> list[Comparison]:
    x, bias = _normal(random, _ROWS, _FEATURES), _normal(random, _FEATURES)
    backward = (_normal(random, _ROWS, _FEATURES), x, bias)
    return [_both("bias_gelu", (x, bias), 1), _both("bias_gelu_grad", backward, _ROWS)]


def _softmax_cross_entropy(random: np.random.Generator, reference: Any) -> list[Comparison]:
    logits, bias = _normal(random, _ROWS, _FEATURES), _normal(random, _FEATURES)
    forward = (logits, bias, random.integers(0, _FEATURES, _ROWS, np.int32), np.ones(_ROWS, np.float32))
    log_sum_exp, dloss = reference.softmax_cross_entropy(*forward)[2], np.ones(1, np.float32)
    return [
        _both("softmax_cross_entropy", forward, _FEATURES),
        Comparison("softmax_cross_entropy_grad", (dloss, *forward, log_sum_exp), (dloss, *forward), _FEATURES),
    ]


def _embedding(random: np.random.Generator, _: Any) -> list[Comparison]:
    ids = random.integers(0, 30, _ROWS, np.int32)
    backward = (_normal(random, _ROWS, _FEATURES), ids, 30)
    return [
        _both("embedding", (_normal(random, 30, _FEATURES), ids), 1),
        _both("embedding_grad", backward, _ROWS),
    ]


def _attention(random: np.random.Generator, reference: Any) -> list[Comparison]:
    batch, heads, length, hidden = 2, 2, 9, 32
    qkv, bias = _normal(random, batch * length, 3 * hidden), _normal(random, 3 * hidden)
    mask = np.where(random.random((batch, length)) < 0.2, -1e4, 0.0).astype(np.float32)
    dout, inputs = _normal(random, batch * length, hidden), (qkv, bias, mask)
    log_sum_exp = reference.attention(*inputs, heads, *_DROPOUT)[1]
    backward = (dout, *inputs, log_sum_exp, *_DROPOUT), (dout, *inputs, heads, *_DROPOUT)
    return [
        _both("attention", (*inputs, heads, *_DROPOUT), length + hidden),
        Comparison("attention_grad", *backward, batch * length * hidden),
    ]


def _adam(random: np.random.Generator, _: Any) -> list[Comparison]:
    first, gradient = _normal(random, _ROWS, _FEATURES), _normal(random, _ROWS, _FEATURES)
    second, factors = np.abs(_normal(random, _ROWS, _FEATURES)) + 0.1, np.ones(_ROWS, np.float32)
    inputs = (first, second.astype(np.float32), gradient, factors, (0.9, 0.98), 0.7, 1e-8)
    weight = _normal(random, _ROWS, _FEATURES)
    return [_both("adam", inputs, 2), _both("adam_update", (weight, *inputs, 0.5, 0.1), 2)]


def _l2_norm(random: np.random.Generator, _: Any) -> list[Comparison]:
    return [_both("l2_norm", (_normal(random, _ROWS, _FEATURES), _ROWS), _FEATURES)]


def _momentum(random: np.random.Generator, _: Any) -> list[Comparison]:
    average, x, factors = (_normal(random, _ROWS, _FEATURES), _normal(random, _ROWS, _FEATURES), _normal(random, _ROWS))
    return [_both(rule, (average, x, factors, 0.9), 2) for rule in ("nesterov_momentum", "heavy_ball")]


def _weight_update(random: np.random.Generator, _: Any) -> list[Comparison]:
    weight, direction = _normal(random, _ROWS, _FEATURES), _normal(random, _ROWS, _FEATURES)
    return [_both("weight_update", (weight, direction, _normal(random, _ROWS), 0.5, 0.1), 2)]


def _factor_average(random: np.random.Generator, _: Any) -> list[Comparison]:
    factor, captured = np.abs(_normal(random, 5, _BLOCK, _BLOCK)), np.abs(_normal(random, 5, _BLOCK, _BLOCK))
    captured[3, -1, -1] = np.inf
    return [_both("factor_average", (factor, captured, 0.9, 0.5), 3)]


def _inverse_update(random: np.random.Generator, _: Any) -> list[Comparison]:
    inverse, block, candidate = (_normal(random, 5, _FEATURES, _FEATURES) for _ in range(3))
    damping, status = np.abs(_normal(random, 5)), np.array([0, 3, 0, -1, 0], np.int32)
    candidate[2] *= 1e6
    return [_both("inverse_update", (inverse, block, damping, candidate, status, 1e5), 2 * _FEATURES)]


COMPARISONS: dict[str, Callable[[np.random.Generator, Any], list[Comparison]]] = {
    "adam": _adam,
    "attention": _attention,
    "bias_gelu": _bias_gelu,
    "cholesky_inverse": _cholesky_inverse,
    "dropout": _dropout,
    "embedding": _embedding,
    "factor_average": _factor_average,
    "fisher_covariance": _fisher_covariance,
    "inverse_update": _inverse_update,
    "l2_norm": _l2_norm,
    "layer_norm": _layer_norm,
    "momentum": _momentum,
    "precondition": _precondition,
    "residual_dropout_layer_norm": _residual_dropout_layer_norm,
    "softmax_cross_entropy": _softmax_cross_entropy,
    "weight_update": _weight_update,
}
"""What is compared for each operation, given random numbers and the operation's reference module."""
