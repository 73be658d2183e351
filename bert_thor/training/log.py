"""The lines that a run prints: the original's, or plain ones, both with the rate and the time that is left."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from time import perf_counter
from typing import Any, Optional, Protocol

import numpy as np

from bert_thor.optimizer import StepResult
from bert_thor.training.evaluation import accuracy_line


@dataclass(frozen=True)
class Entry:
    """What a line says of the step that has just ended."""

    epoch: int
    step: int
    steps: int
    """Of the whole run."""
    loss: float
    """Of this step."""
    mean_loss: float
    """Of the steps since the last line, but for those that were skipped."""
    learning_rate: float
    loss_scale: Optional[float]
    """None where none is used."""
    sequences_per_second: Optional[float]
    """Since the last line; None where no step was timed."""
    elapsed: float
    """Seconds since training began in this process."""
    left: Optional[float]
    """Seconds to the end of the run; None where that is not known yet."""


class Lines(Protocol):
    """A form of the lines."""

    def of_step(self, entry: Entry) -> str:
        """What is printed after a step."""

    def of_evaluation(self, report: dict[str, Any], steps: int, is_best: bool) -> str:
        """What is printed after an evaluation during a run of so many steps."""


class OriginalLines:
    """The original's lines, to the character; a line of its own below each has the rate and the time that is left."""

    def __init__(self, step: int) -> None:
        self.step, self.time = step, perf_counter()

    def of_step(self, entry: Entry) -> str:
        """Loss, seconds since the last line, and seconds per step."""
        now = perf_counter()
        total = now - self.time
        outputs = np.array([entry.loss], np.float32)
        average = total / (entry.step - self.step)
        self.step, self.time = entry.step, now
        return (
            f"epoch: {entry.epoch}, step: {entry.step}, outputs are {outputs}, total_time_span is {total}, step_time_span is {average}"
            f"\n{_pace(entry)}"
        )

    def of_evaluation(self, report: dict[str, Any], steps: int, is_best: bool) -> str:
        """The accuracy."""
        return accuracy_line(report)


class PlainLines:
    """One line with everything, in the words of the rest of this program."""

    def __init__(self) -> None:
        self._accuracy = ""

    def of_step(self, entry: Entry) -> str:
        """Step, loss, the accuracy of the latest evaluation, learning rate, loss scale, rate and times."""
        scale = "" if entry.loss_scale is None else f", loss scale {entry.loss_scale:.0f}"
        return (
            f"step {entry.step}/{entry.steps}, loss {entry.mean_loss:.4f}{self._accuracy}, "
            f"learning rate {entry.learning_rate:.3g}{scale}, {_pace(entry)}"
        )

    def of_evaluation(self, report: dict[str, Any], steps: int, is_best: bool) -> str:
        """Both accuracies, and on what rows."""
        both = (
            f"masked-LM accuracy {report['masked_lm_accuracy']:.4f}, "
            f"next-sentence accuracy {report['next_sentence_accuracy']:.4f}"
        )
        self._accuracy = f", {both} at step {report['step']}"
        rows = f"{report['row_count']} {report['rows']} rows"
        return f"step {report['step']}/{steps}, {rows}: {both}{', the best up to now' if is_best else ''}"


def _pace(entry: Entry) -> str:
    rate = "" if entry.sequences_per_second is None else f"{entry.sequences_per_second:.1f} sequences/s, "
    return f"{rate}elapsed {duration(entry.elapsed)}, ETA {'unknown' if entry.left is None else duration(entry.left)}"


def duration(seconds: float) -> str:
    """As H:MM:SS, with days before it where there are some."""
    return str(timedelta(seconds=round(seconds)))


class MeanLoss:
    """The mean loss of steps since it was last taken; a skipped step has none."""

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def add(self, result: StepResult) -> None:
        """One more step."""
        if result.applied:
            self._sum, self._count = self._sum + result.loss, self._count + 1

    def take(self) -> float:
        """NaN where no step was applied."""
        mean = self._sum / self._count if self._count else math.nan
        self._sum, self._count = 0.0, 0
        return mean
