"""What `prepare` shows while it works: each step with the bytes of text that are done, their rate and the time that is left."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Callable, Optional, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from bert_thor.data.workers import WorkerPool

_LOG_SECONDS = 60

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


class _Bytes(DownloadColumn):
    """Bytes that are done, of a step whose size is known."""

    def render(self, task: Task) -> Text:
        """Nothing for a step of unknown size."""
        return super().render(task) if task.fields.get("has_size") else Text()


class _Rate(TransferSpeedColumn):
    """Bytes per second, of a step whose size is known."""

    def render(self, task: Task) -> Text:
        """Nothing for a step of unknown size."""
        return super().render(task) if task.fields.get("has_size") else Text()


def new_progress(console: Optional[Console] = None) -> Progress:
    """Bars with bytes, rate, elapsed and remaining time."""
    return Progress(
        TextColumn("{task.description:<20}"),
        BarColumn(),
        TaskProgressColumn(),
        _Bytes(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def warn(sentence: str) -> None:
    """Print a warning."""
    print(f"warning: {sentence}", file=sys.stderr, flush=True)


class Display:
    """Shows the steps of a preparation: as bars in a terminal, as a line every minute in a log."""

    def __init__(self, progress: Progress, pool: WorkerPool) -> None:
        self._progress, self._pool = progress, pool
        self._logged = time.monotonic()

    def map(
        self, description: str, function: Callable[[_Task], _Result], tasks: Iterable[_Task], size: float
    ) -> Iterator[_Result]:
        """Results of `function` for all tasks, in their order; `size`: bytes of text in all of them."""
        bar = self._progress.add_task(description, total=max(1, size), has_size=True)
        yield from self._pool.map(function, tasks, lambda done: self._show(bar, min(done, size)))
        self._progress.update(bar, completed=max(1, size))

    @contextmanager
    def step(self, description: str) -> Iterator[None]:
        """One piece of work of unknown length."""
        bar = self._progress.add_task(description, total=None)
        yield
        self._progress.update(bar, total=1, completed=1)

    def _show(self, bar: TaskID, done: float) -> None:
        self._progress.update(bar, completed=done)
        if not self._progress.console.is_terminal and time.monotonic() - self._logged >= _LOG_SECONDS:
            self._logged = time.monotonic()
            print(log_line(self._progress.tasks[bar]), flush=True)


def log_line(task: Task) -> str:
    """What a bar shows, in a log."""
    rate, left = task.speed or 0.0, task.time_remaining
    return (
        f"{task.description}: {task.percentage:.0f} % of {(task.total or 0) / 1e6:.1f} MB, {rate / 1e6:.2f} MB/s, "
        f"{'unknown' if left is None else timedelta(seconds=round(left))} left"
    )
