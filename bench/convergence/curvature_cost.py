"""What curvature adds to a step, part by part, timed on the optimizer of a finished run."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
from mindspore import Tensor, nn

from bert_thor.data.batches.rows import TrainingBatches
from bert_thor.network.model import dropout_seed
from bert_thor.optimizer.directions import Kronecker
from bert_thor.optimizer.rules import PreconditionedRule
from bert_thor.training.trainer import Trainer

REPETITIONS = 9


class Directions(nn.Cell):
    """Preconditions the gradients of all layers that have factors, and does nothing else of an update."""

    def __init__(self, cells: list[Kronecker]) -> None:
        super().__init__(auto_prefix=False)
        self.layers = nn.CellList(cells, auto_prefix=False)

    def construct(self, unused: Tensor, *gradients: Tensor) -> Any:
        """Return the preconditioned gradients."""
        directions = ()  # type: Any
        for cell, gradient in zip(self.layers, gradients):
            directions = directions + (cell(gradient, unused),)  # noqa: RUF005 - as in optimizer/step.py
        return directions


def curvature_seconds(trainer: Trainer) -> dict[str, float]:
    """Seconds of every step's `precondition`, and of a refresh's `covariance` and `inversion`; nothing where there are no factors.

    The covariances are what a backward pass with factors takes more than one without.
    """
    optimizer = trainer.optimizer
    if optimizer.curvatures is None:
        return {}
    batch = next(TrainingBatches(trainer.rows, trainer.config.batch_size, trainer.config.seed, ahead=0))
    inputs = [*(Tensor(array) for array in batch), dropout_seed(trainer.config.seed, 0)]
    _, _, gradients, factors = optimizer.gradients_and_factors(*inputs)
    chosen = [
        (rule.precondition, gradient)
        for rule, gradient in zip(optimizer.rules, gradients)
        if isinstance(rule, PreconditionedRule) and isinstance(rule.precondition, Kronecker)
    ]
    directions = Directions([cell for cell, _ in chosen])
    unused, sequences = Tensor(np.float32(0.0)), (trainer.config.batch_size,) * 2
    curvatures = optimizer.curvatures
    with_factors, without, precondition, inversion = _medians(
        lambda: optimizer.gradients_and_factors(*inputs)[1].asnumpy(),
        lambda: optimizer.gradients(*inputs)[1].asnumpy(),
        lambda: directions(unused, *(gradient for _, gradient in chosen))[-1].asnumpy(),
        lambda: curvatures.refresh(factors, sequences, trainer.config.optimizer.damping),
    )
    return {"precondition": precondition, "covariance": max(0.0, with_factors - without), "inversion": inversion}


def _medians(*parts: Callable[[], object]) -> list[float]:
    """Median seconds of each part; all parts run in every round, so that a slower moment of the machine meets them alike."""
    times = np.empty((REPETITIONS, len(parts)))
    for row in [times[0], *times]:  # the first round compiles and is measured again
        for index, part in enumerate(parts):
            start = perf_counter()
            part()
            row[index] = perf_counter() - start
    return [float(value) for value in np.median(times, axis=0)]
