"""How fast a run goes, and when it will be done."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from statistics import median
from time import perf_counter
from typing import Callable, NamedTuple, Optional

RECENT = 50
"""Steps of a kind whose median is its time now."""


class StepKind(NamedTuple):
    """Steps of one kind run the same graphs: the first one of a process compiles them."""

    refreshes: bool
    applied: bool


class Pace:
    """The seconds of steps, evaluations and checkpoints, each told when it ends; all before it since the last one is its time.

    The first step of each kind is left out, because it compiles its graphs. What is told as `other` counts as nothing.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._started = self._last = clock()
        self._recent: dict[StepKind, deque[float]] = {}
        self._spent: dict[str, float] = {}
        self._steps, self._seconds = 0, 0.0
        self.compiling = 0.0
        """Seconds of the first steps."""

    def step(self, kind: StepKind) -> None:
        """A step has ended."""
        seconds = self._lap()
        if kind not in self._recent:
            self._recent[kind] = deque(maxlen=RECENT)
            self.compiling += seconds
            return
        self._recent[kind].append(seconds)
        self._steps, self._seconds = self._steps + 1, self._seconds + seconds

    def other(self, name: str) -> None:
        """Something that is no step has ended, such as an evaluation."""
        self._spent[name] = self._lap()

    def elapsed(self) -> float:
        """Seconds since the beginning, with all that there was."""
        return self._clock() - self._started

    def steps_per_second(self) -> Optional[float]:
        """Of the steps since this was last asked for; None where none of them counts."""
        steps, seconds = self._steps, self._seconds
        self._steps, self._seconds = 0, 0.0
        return steps / seconds if seconds > 0 else None

    def step_seconds(self, refreshes: bool) -> Optional[float]:
        """The median of the latest steps of this kind; None where none was timed yet."""
        found = self._recent.get(StepKind(refreshes, applied=True))
        return median(found) if found else None

    def last(self, name: str) -> float:
        """Seconds of the last one of what `other` was told; 0 where there was none."""
        return self._spent.get(name, 0.0)

    def left(self, cached: int, refreshes: int, others: Mapping[str, int]) -> Optional[float]:
        """Seconds of so many steps of both kinds and of so many of the others; None where no step was timed yet.

        Steps of a kind that was not timed yet are taken to last as long as those of the other.
        """
        known = [self.step_seconds(False), self.step_seconds(True)]
        times = [own if own is not None else other for own, other in zip(known, reversed(known))]
        if times[0] is None or times[1] is None:
            return None
        return cached * times[0] + refreshes * times[1] + sum(self.last(name) * count for name, count in others.items())

    def _lap(self) -> float:
        before, self._last = self._last, self._clock()
        return self._last - before


def crossed(before: int, after: int, interval: int) -> int:
    """How many multiples of `interval` lie above `before` and up to `after`; none where the interval is 0."""
    return after // interval - before // interval if interval else 0
