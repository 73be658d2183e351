"""The two graphs of a refresh, and the scales of the factors.

Letters: n blocks of edge b.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mindspore import ParameterTuple, Tensor, nn, ops

from bert_thor.kernels.arrays import Array
from bert_thor.ops.cholesky_inverse import cholesky_inverse
from bert_thor.ops.factor_average import factor_average
from bert_thor.ops.inverse_update import inverse_update
from bert_thor.optimizer.curvature import safe_inverse
from bert_thor.optimizer.curvature.kronecker import KroneckerCurvature
from bert_thor.parallel.collectives import SharedInverse
from bert_thor.parallel.world import World

TINY = 1e-30
"""Keeps the division by the trace of an all-zero factor finite."""


class Average(nn.Cell):
    """Averages the captured factors of all layers over time in one graph."""

    def __init__(self, layers: Sequence[KroneckerCurvature]) -> None:
        super().__init__(auto_prefix=False)
        self.factors = ParameterTuple(factor for layer in layers for factor in layer.factors())
        self.average = factor_average()

    def construct(self, keep: Tensor, *numbers: Tensor) -> Tensor:
        """`numbers`: what every captured factor is multiplied by, [1] each, then the captured factors; `keep` is β.

        Return the trace and the number of blocks left out of every factor, A's, then G's, of each layer in turn: [factors, 2].
        """
        count = len(self.factors)
        summaries = []
        for index in range(count):
            summaries.append(self.average(self.factors[index], numbers[count + index], keep, numbers[index]))
        return ops.stack(summaries)


class LocalInverses(nn.Cell):
    """Inverts lists of packed blocks on this process."""

    def __init__(self) -> None:
        super().__init__(auto_prefix=False)
        self.cholesky_inverse = cholesky_inverse()

    def construct(self, blocks: tuple[Tensor, ...], dampings: tuple[Tensor, ...]) -> Any:
        """Return (inverses, statuses), one of each per list."""
        inverses, statuses = [], []
        for one, damping in zip(blocks, dampings):
            inverse, status = self.cholesky_inverse(one, damping)
            inverses.append(inverse)
            statuses.append(status)
        return inverses, statuses


class Invert(nn.Cell):
    """Scales, damps and inverts the factors of some layers; a doubtful block keeps its previous inverse."""

    def __init__(self, layers: Sequence[KroneckerCurvature], world: World) -> None:
        super().__init__(auto_prefix=False)
        self.factors = ParameterTuple(factor for layer in layers for factor in layer.factors())
        self.inverses = ParameterTuple(inverse for layer in layers for inverse in layer.inverses())
        shapes = [factor.shape for factor in self.factors]
        shared = world.ranks > 1
        self.invert = SharedInverse(shapes, world.rank, world.ranks, cholesky_inverse()) if shared else LocalInverses()
        self.update = inverse_update(safe_inverse.CONDITION_LIMIT)

    def construct(self, *numbers: Tensor) -> tuple[Tensor, Tensor]:
        """`numbers`: what every factor is multiplied by, [1] each, then the dampings of its blocks, [n] each.

        Return status and condition number of every block, A's, then G's, of each layer in turn.
        """
        count = len(self.factors)
        blocks = []  # type: list[Tensor]  # MindSpore 2.0 compiles no annotated assignment
        for index in range(count):
            blocks.append(self.factors[index] * numbers[index])
        candidates, statuses = self.invert(blocks, numbers[count:])
        conditions = []
        for index in range(count):
            inverse, block, damping = self.inverses[index], blocks[index], numbers[count + index]
            conditions.append(self.update(inverse, block, damping, candidates[index], statuses[index]))
        return ops.concat(statuses), ops.concat(conditions)


def scales(rule: str, traces: Array, sizes: Array, damping: float) -> Array:
    """What factors are multiplied by and then damped with: (for A, damping of A, for G, damping of G), [layers, 4] float32.

    traces and sizes [layers, 2] are those of (A, G). With a = mean(diag A), g = mean(diag G) and the damping λ, `rule` says relative:
    (A/a + λI)⁻¹, (G/g + λI)⁻¹, free of the scale of loss and batch; absolute: (A + √λI)⁻¹, (G + √λI)⁻¹; pi: (A + π√λI)⁻¹,
    (G + √λ/π I)⁻¹ with π = √(a/g) (Martens & Grosse, 2015, §6.3).
    """
    mean = traces.astype(np.float32) / sizes.astype(np.float32) + np.float32(TINY)
    result = np.ones((len(mean), 4), np.float32)
    if rule == "relative":
        result[:, 0::2] = 1 / mean
        result[:, 1::2] = damping
        return result
    result[:, 1::2] = np.sqrt(np.float32(damping))
    if rule == "pi":
        pi = np.sqrt(mean[:, 0] / mean[:, 1])
        result[:, 1] *= pi
        result[:, 3] /= pi
    return result
