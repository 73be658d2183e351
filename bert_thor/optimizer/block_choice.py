"""The edge of the factors' diagonal blocks by the THOR paper's rule (Chen et al., AAAI 2021): information lost against time gained.

For each candidate n: the information score is the share of the factors that lose less than 1 % of their largest eigenvalue when cut into
blocks of n, 1 − λmax(blocks)/λmax(whole) < 0.01; the time score is the fastest candidate's time over that of n. The first grows with n, the
second falls; the candidate nearest to where they cross is taken. Factors are those of one batch at the initial weights, times those
of this machine's kernels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any, NamedTuple, Optional

import numpy as np
from mindspore import nn

from bert_thor.errors import ConfigError
from bert_thor.kernels.cholesky_inverse.native import cholesky_inverse
from bert_thor.kernels.fisher_covariance.native import fisher_covariance
from bert_thor.kernels.precondition.native import precondition
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.optimizer.curvature.blocks import block_edge
from bert_thor.optimizer.curvature.kronecker import KroneckerCurvature
from bert_thor.optimizer.thor import Batch, Thor

CANDIDATES = (1, 16, 32, 64, 128, 256, 512, 1024)
LOST = 0.01
"""A factor counts as kept when it loses less than this share of its largest eigenvalue."""
POWER_ITERATIONS = 60
REPETITIONS = 3
"""Measurements of each time, of which the shortest counts."""

Array = Any


class Score(NamedTuple):
    """What one candidate keeps and costs."""

    block: int
    kept: float
    """Share of the factors that keep their largest eigenvalue to 1 %."""
    seconds: float
    """Per step: preconditioning, and covariance and inversion shared out over the refresh interval."""


class Shape(NamedTuple):
    """The sizes of one preconditioned dense layer."""

    outputs: int
    inputs: int
    groups: int
    rows: int


class Choice(NamedTuple):
    """The chosen edge, and the candidates as a table."""

    block: int
    table: str


def choose_block(
    network: nn.Cell,
    loss: Any,
    inputs: Batch,
    labels: Batch,
    config: Optional[OptimizerConfig] = None,
    groups: Optional[Mapping[str, int]] = None,
) -> Choice:
    """The edge for `network` by the factors of one batch at its present weights. The arguments are those of `Thor`.

    Raises `ConfigError` where the method has no blocks.
    """
    config = config or OptimizerConfig()
    shapes, factors = whole_factors(network, loss, inputs, labels, config, groups)
    scores = [Score(n, kept_share(factors, n), seconds(shapes, n, config)) for n in _candidates(shapes)]
    chosen = crossing(scores)
    return Choice(chosen, describe(scores, chosen))


def _candidates(shapes: Sequence[Shape]) -> list[int]:
    largest = max(max(shape.outputs // shape.groups, shape.inputs) for shape in shapes)
    return [n for n in CANDIDATES if n <= largest] or [1]


def whole_factors(
    network: nn.Cell,
    loss: Any,
    inputs: Batch,
    labels: Batch,
    config: OptimizerConfig,
    groups: Optional[Mapping[str, int]],
) -> tuple[list[Shape], list[Array]]:
    """The shape of every dense layer with A and G, and all their whole factors [n, edge, edge]."""
    thor = Thor(network, loss, 1, config=replace(config, block=0), groups=groups)
    curvatures = thor.curvatures.layers if thor.curvatures else []
    layers = [layer for layer in curvatures if isinstance(layer, KroneckerCurvature)]
    if not layers:
        raise ConfigError(f"block is auto, but {config.name} has no blocks: leave --block out")
    factors, uses = thor.capture(inputs, labels)
    chosen = [not layer.table and layer.sides == "AG" and used > 0 for layer, (used, _) in zip(layers, uses)]
    if not any(chosen):
        raise ConfigError("block is auto, but no dense layer with both factors is used: give a number")
    sides = [of_layer for layer, of_layer in zip(layers, chosen) for _ in layer.sides]
    shapes = [
        Shape(layer.spec.shape[0], layer.spec.shape[1], layer.spec.groups, int(rows))
        for layer, (_, rows), of_layer in zip(layers, uses, chosen)
        if of_layer
    ]
    return shapes, [factor for factor, of_layer in zip(factors, sides) if of_layer]


def kept_share(factors: Sequence[Array], block: int) -> float:
    """The information score of edge `block`."""
    matrices = [matrix for factor in factors for matrix in factor]
    return float(
        np.mean([1.0 - largest_eigenvalue(cut(m, block)) / largest_eigenvalue(m[None]) < LOST for m in matrices])
    )


def cut(matrix: Array, block: int) -> Array:
    """The diagonal blocks [n, block, block] of a matrix, the last one padded with zeros."""
    size = len(matrix)
    edge = min(block, size)
    padded = np.zeros((-(-size // edge) * edge,) * 2, matrix.dtype)
    padded[:size, :size] = matrix
    starts = range(0, len(padded), edge)
    return np.stack([padded[start : start + edge, start : start + edge] for start in starts])


def largest_eigenvalue(blocks: Array) -> float:
    """λmax of a positive semidefinite block-diagonal matrix [n, b, b] by power iteration: a lower bound, close to 1 % in few steps."""
    vectors = np.random.default_rng(0).standard_normal((*blocks.shape[:2], 1)).astype(blocks.dtype)
    for _ in range(POWER_ITERATIONS):
        vectors = blocks @ vectors
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True) + np.finfo(blocks.dtype).tiny
    return float(np.linalg.norm(blocks @ vectors, axis=1).max())


def seconds(shapes: Sequence[Shape], block: int, config: OptimizerConfig) -> float:
    """Seconds per step that curvature in blocks of `block` takes on this machine's kernels."""
    return sum(count * _layer_seconds(shape, block, config) for shape, count in Counter(shapes).items())


def _layer_seconds(shape: Shape, block: int, config: OptimizerConfig) -> float:
    outputs, inputs, groups, rows = shape
    edges = block_edge(outputs, block, groups), block_edge(inputs, block)
    r = np.random.default_rng(0)
    x, d, gradient = (
        r.standard_normal(s).astype(np.float32) for s in ((rows, inputs), (rows, outputs), (outputs, inputs))
    )
    weights = (d**2).sum(1) if config.row_weights == "gradient" else None
    factors = fisher_covariance(d, edges[0]), fisher_covariance(x, edges[1], weights)
    inverses = [cholesky_inverse(factor, 0.1)[0] for factor in factors]

    def refresh() -> None:
        for rows_of, edge, weights_of in ((d, edges[0], None), (x, edges[1], weights)):
            cholesky_inverse(fisher_covariance(rows_of, edge, weights_of), 0.1)

    return _shortest(refresh) / config.refresh_interval + _shortest(
        lambda: precondition(inverses[0], gradient, inverses[1])
    )


def _shortest(work: Callable[[], object]) -> float:
    times = []
    for _ in range(REPETITIONS):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return min(times)


def time_scores(scores: Sequence[Score]) -> list[float]:
    """The fastest candidate's time over each candidate's."""
    fastest = min(score.seconds for score in scores)
    return [fastest / score.seconds for score in scores]


def crossing(scores: Sequence[Score]) -> int:
    """The candidate nearest (in its logarithm) to where the information score overtakes the time score."""
    differences = [score.kept - time for score, time in zip(scores, time_scores(scores))]
    after = next((index for index, difference in enumerate(differences) if difference >= 0), len(scores))
    if after in (0, len(scores)):
        return scores[min(after, len(scores) - 1)].block
    before = after - 1
    share = -differences[before] / (differences[after] - differences[before])
    return scores[after if share >= 0.5 else before].block


def describe(scores: Sequence[Score], chosen: int) -> str:
    """The candidates as a table."""
    lines = ["block  factors kept  ms per step  time score"]
    for score, time in zip(scores, time_scores(scores)):
        mark = "  chosen" if score.block == chosen else ""
        lines.append(f"{score.block:5}  {score.kept:12.3f}  {1e3 * score.seconds:11.3f}  {time:10.3f}{mark}")
    return "\n".join(lines)
