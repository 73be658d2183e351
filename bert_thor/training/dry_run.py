"""`--dry-run`: what a run will take, from a few of its steps in a throw-away place."""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Callable, Optional

from bert_thor.data.batches.rows import TrainingBatches
from bert_thor.errors import ConfigError, Interrupted, TrainingError
from bert_thor.parallel.world import launched_ranks
from bert_thor.recipes import PretrainConfig
from bert_thor.training.checkpoint import checkpoint_path
from bert_thor.training.evaluations import Evaluations
from bert_thor.training.log import duration
from bert_thor.training.pace import Pace, StepKind, crossed
from bert_thor.training.run_data import RUN_DATA, VOCABULARY
from bert_thor.training.run_folder import RunFolder
from bert_thor.training.trained import Trained
from bert_thor.training.trainer import Trainer, settled

CACHED, REFRESHES = 6, 4
"""Steps of each kind: the first one compiles, the median of the others is what one takes."""
TRIES = 20
"""For a step that is applied: a dynamic loss scale begins too high and is halved by each step that is not."""
BATCHES = 4
"""Of an evaluation."""


def dry_run(config: PretrainConfig, read_start: Callable[[Path], Trained]) -> str:
    """The figures as text. Nothing is written but in a temporary folder, which is gone afterwards.

    Errors: those that the run itself would have before its first steps, `TrainingError` where no step is finite.
    """
    if launched_ranks() > 1:
        raise ConfigError(
            f"dry_run measures one process, {launched_ranks()} were started: start it without the launcher"
        )
    run = RunFolder(config.run)
    remark = _refusal(run, config)
    with tempfile.TemporaryDirectory(prefix="bert-thor-") as place:
        trial = _Trial(replace(config, run=_beginning(run, config, Path(place)), compile_cache=None), read_start)
        trial.run()
    found = "nothing is left to do" if trial.findings is None else trial.findings.text()
    return "\n".join(filter(None, (f"dry run of {config.run}: nothing was written there", found, remark)))


def _refusal(run: RunFolder, config: PretrainConfig) -> Optional[str]:
    """Why a new run would not start in this folder, which does not keep it from being measured; a resumed run is refused at once."""
    try:
        run.check(settled(config, run)[0])
        if config.resume_from is not None:
            run.check_step(config.resume_from)
    except ConfigError as error:
        if config.resumes:
            raise
        return f"the run itself would not start: {error}"
    return None


def _beginning(run: RunFolder, config: PretrainConfig, place: Path) -> Path:
    """A folder in `place` in which the run can begin, or go on: with what its own has, and links to its checkpoints."""
    copy = RunFolder(place / "run")
    if not (config.resumes and run.has_begun() and run.config.is_file()):
        return copy.path
    copy.checkpoints.mkdir(parents=True)
    for file in (run.config, run.path / RUN_DATA, run.path / VOCABULARY):
        if file.is_file():
            shutil.copy(file, copy.path)
    for step in run.steps():
        if config.resume_from in (None, step):
            checkpoint_path(copy.checkpoints, step).symlink_to(checkpoint_path(run.checkpoints, step).absolute())
    return copy.path


@dataclass(frozen=True)
class Findings:
    """What a run has left to do, and what each part takes; seconds are None where no part of the kind was timed."""

    steps: int
    batch_size: int
    passes: float
    """Over the data."""
    refreshes: int
    cached_seconds: Optional[float]
    refresh_seconds: Optional[float]
    first_seconds: float
    """Of the first steps, which compile."""
    evaluations: int
    evaluation_seconds: float
    checkpoints: int
    checkpoint_seconds: float
    checkpoint_bytes: int
    kept: int
    """Checkpoints that are on the disk at the end."""
    peak_bytes: int

    def text(self) -> str:
        """The figures, line by line."""
        cached, refresh = (_seconds(value) for value in (self.cached_seconds, self.refresh_seconds))
        parts = self._parts()
        return "\n".join(
            (
                f"memory: {self.peak_bytes / 2**20:,.0f} MiB at most in this process, with a checkpoint being written",
                f"disk: {self.kept} checkpoints of {self.checkpoint_bytes / 2**20:,.1f} MiB, "
                f"{self.kept * self.checkpoint_bytes / 2**20:,.1f} MiB",
                f"steps: {self.steps:,} of {self.batch_size} sequences, {self.passes:.2f} passes over the data",
                f"a step: {cached} cached, {refresh} with a refresh ({self.refreshes:,} of them)",
                f"whole time: about {duration(sum(parts.values()))}: "
                + ", ".join(f"{name} {duration(seconds)}" for name, seconds in parts.items()),
            )
        )

    def _parts(self) -> dict[str, float]:
        known = [self.cached_seconds, self.refresh_seconds]
        times = [next((value for value in pair if value is not None), 0.0) for pair in (known, known[::-1])]
        steps = (self.steps - self.refreshes) * times[0] + self.refreshes * times[1]
        return {
            "compilation and first steps": self.first_seconds,
            "steps": steps,
            f"{self.evaluations} evaluations": self.evaluations * self.evaluation_seconds,
            f"{self.checkpoints} checkpoints": self.checkpoints * self.checkpoint_seconds,
        }


def _seconds(value: Optional[float]) -> str:
    return "not timed" if value is None else f"{value:.3g} s"


def peak_memory() -> int:
    """The most bytes of memory that this process has held up to now."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


class _Trial(Trainer):
    """A run that does a few steps, a part of an evaluation and a checkpoint, and ends."""

    findings: Optional[Findings] = None
    """None: the run has nothing left to do."""

    def _loop(self, batches: TrainingBatches) -> None:
        if self._is_finished():
            return
        config, progress, pace = self.config, replace(self.progress), Pace()
        steps, number = config.steps - progress.step, self.thor.step_number
        samples = steps * config.batch_size
        evaluations = crossed(progress.samples, progress.samples + samples, config.evaluation_interval)
        checkpoints = crossed(progress.step, config.steps - 1, config.checkpoint_interval) + 1
        self._compile()
        self._measure_steps(batches, pace, range(number, number + steps))
        first_seconds = pace.compiling
        evaluation = self._evaluation_seconds(pace) if evaluations else 0.0
        self.save()
        pace.other("checkpoint")
        newest = checkpoint_path(self.folder.checkpoints, self.progress.step)
        self.findings = Findings(
            steps=steps,
            batch_size=config.batch_size,
            passes=samples / len(self.rows),
            refreshes=self.thor.refreshes_between(number, number + steps),
            cached_seconds=pace.step_seconds(False),
            refresh_seconds=pace.step_seconds(True),
            first_seconds=first_seconds + pace.last("compilation"),
            evaluations=evaluations,
            evaluation_seconds=evaluation,
            checkpoints=checkpoints,
            checkpoint_seconds=pace.last("checkpoint"),
            checkpoint_bytes=sum(file.stat().st_size for file in newest.iterdir()),
            kept=min(checkpoints, config.keep_checkpoints) + config.keep_best,
            peak_bytes=peak_memory(),
        )

    def _measure_steps(self, batches: TrainingBatches, pace: Pace, numbers: range) -> None:
        """Some of the steps with these numbers: a refresh, as a run begins, cached ones, more refreshes."""
        refreshing = list(islice(self._numbers(numbers, True), REFRESHES))
        cached = list(islice(self._numbers(numbers, False), CACHED))
        for number in (*refreshing[:1], *cached, *refreshing[1:]):
            self._measure_step(number, batches, pace)

    def _numbers(self, numbers: range, refreshing: bool) -> Iterator[int]:
        return (step for step in numbers if bool(self.thor.refreshes_between(step, step + 1)) == refreshing)

    def _measure_step(self, number: int, batches: TrainingBatches, pace: Pace) -> None:
        for _ in range(TRIES):
            self.thor.step_number = number
            result = self._one_step(next(batches))
            pace.step(StepKind(result.refresh_seconds > 0, result.applied))
            if self._stop_signals.received is not None:
                raise Interrupted("interrupted: a dry run leaves nothing behind", 128 + self._stop_signals.received)
            if result.applied:
                return
        raise TrainingError(
            f"loss or gradient was not finite in {TRIES} tries of one step: look at the data, or take a smaller learning rate"
        )

    def _evaluation_seconds(self, pace: Pace) -> float:
        """Of one evaluation, from some of its rows."""
        config, rows = self.config, len(self._evaluations.rows().rows)
        some = replace(config, evaluation_rows=min(rows, BATCHES * config.batch_size))
        evaluations = Evaluations(some, self.folder, self.model, self.rows)
        evaluations.prepare()
        pace.other("compilation")
        evaluations.evaluate(0, 0)
        pace.other("evaluation")
        return pace.last("evaluation") * rows / len(evaluations.rows().rows)
