"""The problems on which the Triton kernels are proved: their shapes stand here alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

from factor_problems import (
    broken_blocks,
    cholesky_inverse_problem,
    factor_average_problem,
    fisher_covariance_problem,
    gram_blocks,
    inverse_update_problem,
    precondition_problem,
    spectrum_block,
)
from network_problems import (
    bias_gelu_grad_problem,
    bias_gelu_line_problem,
    bias_gelu_problem,
    layer_norm_grad_problem,
    layer_norm_problem,
    residual_dropout_layer_norm_problem,
    softmax_cross_entropy_problem,
)
from problem import DTYPES, PROGRAMS, UNIT, Problem


def representative() -> Iterator[Callable[[], Problem]]:
    """One problem per operation and type: all targets, all mutants."""
    yield partial(cholesky_inverse_problem, 70, gram_blocks(70, 1), [0.03])
    for dtype in DTYPES:
        yield partial(fisher_covariance_problem, 1000, 240, 120, 2, dtype)
    for dtype in DTYPES:
        yield partial(fisher_covariance_problem, 100, 240, 120, 2, dtype, weighted=True)
    yield partial(precondition_problem, 256, 128, 128, 128)
    yield partial(precondition_problem, 130, 100, 100, 33)
    for make in (layer_norm_problem, layer_norm_grad_problem, bias_gelu_problem, bias_gelu_grad_problem):
        for dtype in DTYPES:
            yield partial(make, 50, 128, dtype)
    for dtype in DTYPES:
        yield partial(softmax_cross_entropy_problem, 11, 300, dtype)
    for dtype in DTYPES:
        yield partial(residual_dropout_layer_norm_problem, 50, 128, dtype)
    yield partial(factor_average_problem, 3, 120, 1)
    yield partial(inverse_update_problem, 4, 120)


def shapes() -> Iterator[Callable[[], Problem]]:
    """More shapes: tails, edges, conditions, ladders."""
    yield partial(cholesky_inverse_problem, 128, gram_blocks(128, 2), [0.03, 0.3])
    for edge in (1, 2, 17, 50, 64, 65, 127):
        yield partial(cholesky_inverse_problem, edge, [spectrum_block(edge, 2.0, 1.0, edge)], [0.0])
    conditions = ((math.sqrt(0.1 / UNIT), 1.0), (2.0, 0.25 * 2.0**-126 / UNIT), (2.0, UNIT / (0.25 * 2.0**-126)))
    yield partial(cholesky_inverse_problem, 128, [spectrum_block(128, c, s, 9) for c, s in conditions], [0.0] * 3)
    yield partial(cholesky_inverse_problem, 33, *broken_blocks(33))
    yield partial(cholesky_inverse_problem, 100, *broken_blocks(100))
    for shape in ((1, 1, 1, 1), (7, 16, 16, 1), (65, 200, 100, 2), (257, 97, 97, 3), (33, 130, 65, 1)):
        for dtype in DTYPES:
            yield partial(fisher_covariance_problem, *shape, dtype)
            if shape[1] % 8 == 0:
                yield partial(fisher_covariance_problem, *shape, dtype, weighted=True)
    for tiles in ((1, 1, 1, 1), (5, 130, 16, 128), (7, 9, 8, 16), (129, 33, 1, 16), (64, 96, 32, 48)):
        yield partial(precondition_problem, *tiles)
    for make in (layer_norm_problem, layer_norm_grad_problem, bias_gelu_problem, bias_gelu_grad_problem):
        for rows, features in ((1, 1), (5, 17), (9, 100), (4, 1024)):
            yield partial(make, rows, features, "float32")
        yield partial(make, 5, 33, "bfloat16")
    for ratio in (0.0, 10.0, 1e3, 1e4, 1e5, 1e6, 1e7):
        for make in (layer_norm_problem, layer_norm_grad_problem):
            yield partial(make, 8, 1024, "float32", PROGRAMS, ratio)
    yield partial(bias_gelu_line_problem, 4096)
    for rows, classes in ((1, 1), (1, 15), (7, 64), (5, 3000)):
        yield partial(softmax_cross_entropy_problem, rows, classes, "float32")
    for rows, features in ((1, 1), (5, 17), (9, 100), (4, 1024)):
        yield partial(residual_dropout_layer_norm_problem, rows, features, "float32")
    for blocks, edge, spoilt in ((1, 3, None), (5, 33, 2), (2, 128, None)):
        yield partial(factor_average_problem, blocks, edge, spoilt)
    for blocks, edge in ((3, 2), (4, 33), (3, 128)):
        yield partial(inverse_update_problem, blocks, edge)


NORMS = (layer_norm_problem, layer_norm_grad_problem, residual_dropout_layer_norm_problem)


def large() -> Iterator[Callable[[], Problem]]:
    """Sizes at which the share of the limit says something: all cores of 910B1 have work, or one has as much as it ever has."""
    for dtype in ("float32", "bfloat16"):
        yield partial(fisher_covariance_problem, 1536, 1024, 128, 3, dtype, 32)
    yield partial(precondition_problem, 768, 512, 128, 128)
    for make in (*NORMS, bias_gelu_problem, bias_gelu_grad_problem):
        for dtype in ("float32", "bfloat16"):
            yield partial(make, 1536, 1024, dtype, 48)
    yield partial(softmax_cross_entropy_problem, 48, 30522, "bfloat16", 48)
