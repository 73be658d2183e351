"""The edge of the factors' diagonal blocks by the THOR paper's rule (Chen et al., AAAI 2021): information lost against time gained.

For each candidate n: the information score is the share of the factors that lose less than 1 % of their largest eigenvalue when cut into
blocks of n, 1 − λmax(blocks)/λmax(whole) < 0.01; the time score is the fastest candidate's time over that of n. The first grows with n, the
second falls; the candidate nearest to where they cross is taken. Factors are those of one batch at the initial weights, times those
of this machine's kernels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from mindspore import Tensor

from bert_thor.compat import use_graph_mode
from bert_thor.data.batches.rows import Rows, TrainingBatches
from bert_thor.errors import ConfigError
from bert_thor.kernels.cholesky_inverse.native import cholesky_inverse
from bert_thor.kernels.fisher_covariance.native import fisher_covariance
from bert_thor.kernels.precondition.native import precondition
from bert_thor.network.layers import FactoredLinear, block_edge
from bert_thor.network.model import BertForPreTraining, dropout_seed
from bert_thor.optimizer.registration import register
from bert_thor.optimizer.step import Gradients
from bert_thor.parallel.collectives import Exchange
from bert_thor.parallel.world import World, launched_ranks
from bert_thor.recipes import PretrainConfig
from bert_thor.training.run_folder import RunFolder

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


def choose_block(config: PretrainConfig, folder: RunFolder, rows: Rows) -> PretrainConfig:
    """`config` with a number for `block` auto: the run's own if it is resumed, else the measured one, whose table is printed."""
    if folder.config.is_file() and config.resume:
        return _with_block(config, int(folder.read_config()["optimizer.block"]))
    if launched_ranks() > 1:
        raise ConfigError(
            "block is auto with several processes: measure with one process first, then give the number with --block"
        )
    use_graph_mode(config.device_target)
    shapes, factors = whole_factors(config, rows)
    scores = [Score(n, kept_share(factors, n), seconds(shapes, n, config)) for n in _candidates(shapes)]
    chosen = crossing(scores)
    print(describe(scores, chosen), flush=True)
    return _with_block(config, chosen)


def _with_block(config: PretrainConfig, block: int) -> PretrainConfig:
    return replace(config, optimizer=replace(config.optimizer, block=block))


def _candidates(shapes: Sequence[tuple[int, int, int, int]]) -> list[int]:
    largest = max(max(outputs // groups, inputs) for outputs, inputs, groups, _ in shapes)
    return [n for n in CANDIDATES if n <= largest] or [1]


def whole_factors(config: PretrainConfig, rows: Rows) -> tuple[list[tuple[int, int, int, int]], list[Array]]:
    """(outputs, inputs, groups, rows) of every preconditioned dense layer, and all their whole factors [n, edge, edge]."""
    model = BertForPreTraining(config.model, 0, config.seed)
    model.set_train()
    table = register(model, replace(config.optimizer, block=0))
    layers = [entry for entry in table if isinstance(entry.layer, FactoredLinear) and entry.sides == "AG"]
    if not layers:
        raise ConfigError(f"block is auto, but {config.optimizer.name} has no blocks: leave --block out")
    probes = [probe for entry in layers for probe in entry.probes()]
    batch = next(TrainingBatches(rows, config.batch_size, config.seed, ahead=0))
    inputs = [*(Tensor(array) for array in batch), dropout_seed(config.seed, 0)]
    _, _, _, factors = Gradients(model, [layers[0].parameter], probes, Exchange(World(), [], []))(*inputs)
    places = {name: config.batch_size for name in ("pooler",)}
    places["transform"] = int(np.prod(batch.masked_lm_positions.shape))
    tokens = int(np.prod(batch.input_ids.shape))
    shapes = []
    for entry in layers:
        outputs, width = entry.parameter.shape
        shapes.append((outputs, width, entry.groups, places.get(entry.parameter.name.split(".")[0], tokens)))
    return shapes, [factor.asnumpy() for factor in factors]


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


def seconds(shapes: Sequence[tuple[int, int, int, int]], block: int, config: PretrainConfig) -> float:
    """Seconds per step that curvature in blocks of `block` takes on this machine's kernels."""
    interval = config.optimizer.refresh_interval
    return sum(count * _layer_seconds(shape, block, interval) for shape, count in Counter(shapes).items())


def _layer_seconds(shape: tuple[int, int, int, int], block: int, interval: int) -> float:
    outputs, inputs, groups, rows = shape
    edges = block_edge(outputs, block, groups), block_edge(inputs, block)
    r = np.random.default_rng(0)
    x, d, gradient = (
        r.standard_normal(s).astype(np.float32) for s in ((rows, inputs), (rows, outputs), (outputs, inputs))
    )
    factors = fisher_covariance(d, edges[0]), fisher_covariance(x, edges[1])
    inverses = [cholesky_inverse(factor, 0.1)[0] for factor in factors]

    def refresh() -> None:
        for rows_of, edge in ((d, edges[0]), (x, edges[1])):
            cholesky_inverse(fisher_covariance(rows_of, edge), 0.1)

    return _shortest(refresh) / interval + _shortest(lambda: precondition(inverses[0], gradient, inverses[1]))


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
