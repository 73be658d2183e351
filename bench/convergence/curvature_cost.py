"""What curvature adds to a step, part by part, timed on the optimizer of a finished run."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
from mindspore import Tensor, nn

from bert_thor.data.batches.rows import TrainingBatches
from bert_thor.optimizer.curvature.curvature import Moment
from bert_thor.optimizer.curvature.kronecker import KroneckerCurvature
from bert_thor.training.inputs import inputs_and_labels
from bert_thor.training.trainer import Trainer

REPETITIONS = 9


class Directions(nn.Cell):
    """Preconditions the gradients of all layers that have factors, and does nothing else of an update."""

    def __init__(self, cells: list[KroneckerCurvature]) -> None:
        super().__init__(auto_prefix=False)
        self.layers = nn.CellList(cells, auto_prefix=False)

    def construct(self, *gradients: Tensor) -> Any:
        """Return the preconditioned gradients."""
        directions = ()  # type: Any
        for cell, gradient in zip(self.layers, gradients):
            directions = directions + (cell(gradient),)  # noqa: RUF005 - as in optimizer/step.py
        return directions


def curvature_seconds(trainer: Trainer) -> dict[str, float]:
    """Seconds of every step's `precondition`, and of a refresh's `covariance` and `inversion`; nothing where there are no factors.

    The covariances are what a backward pass with factors takes more than one without.
    """
    curvatures = trainer.thor.curvatures
    layers = [layer for layer in curvatures.layers if isinstance(layer, KroneckerCurvature)] if curvatures else []
    if curvatures is None or not layers:
        return {}
    batch = next(TrainingBatches(trainer.rows, trainer.config.batch_size, trainer.config.seed, ahead=0))
    inputs, labels = inputs_and_labels(batch, trainer.config.seed, 0)
    with_factors, without = (trainer.thor.gradients(len(inputs), capturing) for capturing in (True, False))
    _, _, gradients, factors, _ = with_factors(*inputs, *labels)
    chosen = [gradient for gradient, entry in zip(gradients, trainer.thor.table) if entry.rule.has_curvature]
    directions = Directions(layers)
    moment = Moment(chosen, factors, 0, (trainer.config.batch_size,) * 2, trainer.config.optimizer.damping)
    captured, cached, precondition, inversion = _medians(
        lambda: with_factors(*inputs, *labels)[1].asnumpy(),
        lambda: without(*inputs, *labels)[1].asnumpy(),
        lambda: directions(*chosen)[-1].asnumpy(),
        lambda: curvatures.refresh(moment),
    )
    return {"precondition": precondition, "covariance": max(0.0, captured - cached), "inversion": inversion}


def _medians(*parts: Callable[[], object]) -> list[float]:
    """Median seconds of each part; all parts run in every round, so that a slower moment of the machine meets them alike."""
    times = np.empty((REPETITIONS, len(parts)))
    for row in [times[0], *times]:  # the first round compiles and is measured again
        for index, part in enumerate(parts):
            start = perf_counter()
            part()
            row[index] = perf_counter() - start
    return [float(value) for value in np.median(times, axis=0)]
