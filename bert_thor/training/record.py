"""What a run writes down of its steps and evaluations: metrics, log lines, events for TensorBoard."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any, Optional

from bert_thor.files import json_text
from bert_thor.optimizer import StepResult, Thor
from bert_thor.recipes import PretrainConfig
from bert_thor.training.log import Entry, Lines, MeanLoss, OriginalLines, PlainLines
from bert_thor.training.pace import Pace, StepKind, crossed
from bert_thor.training.progress import Progress
from bert_thor.training.run_folder import RunFolder
from bert_thor.training.tensorboard import Events


class Record:
    """The record of one process from where its run stands; only the rank that `writes` leaves one, the others watch their pace alone."""

    def __init__(self, config: PretrainConfig, folder: RunFolder, thor: Thor, progress: Progress, writes: bool) -> None:
        self.config, self.folder, self.thor, self.progress, self.writes = config, folder, thor, progress, writes
        self.pace = Pace()
        self._losses = MeanLoss()
        self._lines: Lines = OriginalLines(progress.step) if config.log == "original" else PlainLines()
        self._events: Optional[Events] = None
        self._open = ExitStack()

    def __enter__(self) -> Record:
        """Open the files."""
        path = self.folder.metrics if self.writes else os.devnull
        self._file = self._open.enter_context(open(path, "a", encoding="utf-8"))
        if self.writes and self.config.tensorboard:
            self._events = Events(self.folder.tensorboard, self.progress.step)
            self._open.callback(self._events.close)
        return self

    def __exit__(self, *exception: object) -> None:
        """Close them."""
        self._open.close()

    def step(self, result: StepResult, damaged_rows: int) -> None:
        """A step has ended; up to it so many damaged rows were met."""
        metrics = self._metrics(result)
        if self.config.skip_damaged:
            metrics["damaged_rows"] = damaged_rows
        self._file.write(json_text(metrics) + "\n")
        self._file.flush()
        if self._events is not None:
            self._events.step(metrics)
        self._losses.add(result)
        self.pace.step(StepKind(result.refresh_seconds > 0, result.applied))

    def line(self, epoch: int, result: StepResult) -> None:
        """Print the line of the step that has just ended."""
        rate, mean = self.pace.steps_per_second(), self._losses.take()
        entry = Entry(
            epoch=epoch,
            step=self.progress.step,
            steps=self.config.steps,
            loss=result.loss,
            mean_loss=mean,
            learning_rate=result.learning_rate,
            loss_scale=result.loss_scale if self.thor.loss_scale.active else None,
            sequences_per_second=None if rate is None else rate * self.config.batch_size,
            elapsed=self.pace.elapsed(),
            left=self.left(),
        )
        if self.writes:
            print(self._lines.of_step(entry), flush=True)

    def evaluation(self, report: dict[str, Any], is_best: bool) -> None:
        """An evaluation has ended."""
        self.folder.add_evaluation(report)
        if self._events is not None:
            self._events.evaluation(report)
        print(self._lines.of_evaluation(report, self.config.steps, is_best), flush=True)

    def flush(self) -> None:
        """Return when the disk has the metrics, and the operating system the events: a checkpoint promises those of all steps before it."""
        if self.writes:
            os.fsync(self._file.fileno())
        if self._events is not None:
            self._events.flush()

    def _metrics(self, result: StepResult) -> dict[str, Any]:
        speed, progress = self.config.batch_size / result.step_seconds, self.progress
        counts = {"samples_per_second": speed, "skipped_steps": progress.skipped}
        return {"step": progress.step, "samples": progress.samples, **metrics_of(result), **counts}

    def left(self) -> Optional[float]:
        """Seconds to the end, with the evaluations and checkpoints that are still to come; None where no step was timed yet."""
        config, step, samples = self.config, self.progress.step, self.progress.samples
        steps = config.steps - step
        refreshes = self.thor.refreshes_between(self.thor.step_number, self.thor.step_number + steps)
        others = {
            "evaluation": crossed(samples, samples + steps * config.batch_size, config.evaluation_interval),
            "checkpoint": crossed(step, config.steps - 1, config.checkpoint_interval) + (steps > 0),
        }
        return self.pace.left(steps - refreshes, refreshes, others)


def metrics_of(result: StepResult) -> dict[str, Any]:
    """The values of a step by name; the parts of the loss are those of `PretrainingLoss`."""
    values = asdict(result)
    loss, (masked_lm_loss, next_sentence_loss) = values.pop("loss"), values.pop("parts")
    return {"loss": loss, "masked_lm_loss": masked_lm_loss, "next_sentence_loss": next_sentence_loss, **values}
