"""Medians of interleaved rounds: every contender runs once per round, in another order each time."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Callable

import numpy as np

from bench import machine
from bench.case import Case

ROUNDS = 9
SAMPLE_SECONDS = 0.02  # a sample repeats the call for at least this long
QUIET = 0.9  # of the peak: rounds in which a probe of the machine finds less are repeated ...
ATTEMPTS = 4  # ... at most this many times over
REPEATABLE = 0.1  # two halves of the rounds may differ by this much before a result counts as noisy


@dataclass(frozen=True)
class Result:
    """Median seconds per call of each contender, and how far they can be trusted."""

    seconds: dict[str, float]
    repeatability: float  # largest difference between the medians of even and odd rounds, relative
    quiet_rounds: int
    rounds: int

    @property
    def noisy(self) -> bool:
        return not self.repeatability <= REPEATABLE or self.quiet_rounds < self.rounds


def measure(case: Case, threads: int, peak: float) -> Result:
    """`peak`: FLOP/s of `machine.peak("fp32", threads)`, which tells whether the machine was ours alone."""
    repeats = {name: _repeats(call, threads) for name, call in case.contenders.items()}

    def sample(name: str) -> float:
        return _seconds(case.contenders[name], repeats[name], threads)

    return interleave(list(case.contenders), sample, threads, peak, ROUNDS, ATTEMPTS)


def interleave(
    names: list[str], sample: Callable[[str], float], threads: int, peak: float, rounds: int, attempts: int
) -> Result:
    """Medians of `sample(name)` over `rounds` rounds; disturbed ones are repeated, `attempts` times `rounds` in all."""
    quiet: list[dict[str, float]] = []
    disturbed: list[dict[str, float]] = []
    order = list(names)
    while len(quiet) < rounds and len(quiet) + len(disturbed) < attempts * rounds:
        random.shuffle(order)
        lowest = _probe(threads)
        seconds = {}
        for name in order:
            seconds[name] = sample(name)
            lowest = min(lowest, _probe(threads))
        (quiet if lowest >= QUIET * peak else disturbed).append(seconds)
    chosen = (quiet + disturbed)[:rounds]
    medians, even, odd = (
        {name: float(np.median([seconds[name] for seconds in part])) for name in names}
        for part in (chosen, chosen[::2], chosen[1::2])
    )
    difference = max(abs(even[name] / odd[name] - 1) for name in names)
    return Result(medians, difference, min(len(quiet), rounds), rounds)


def _repeats(call: Callable[[], object], threads: int) -> int:
    call()
    return max(1, round(SAMPLE_SECONDS / max(_seconds(call, 1, threads), 1e-6)))


def _seconds(call: Callable[[], object], repeats: int, threads: int) -> float:
    """Per call: the process's CPU time for one thread, which other processes do not lengthen, else wall time."""
    _settle()
    clock = time.process_time if threads == 1 else time.perf_counter
    start = clock()
    for _ in range(repeats):
        call()
    return (clock() - start) / repeats


def _probe(threads: int) -> float:
    """What the machine has left for others than the contender before: FLOP/s, in the better of two bursts.

    A processor that rests takes up to a millisecond to wake, which the first burst pays; another process slows both.
    """
    _settle()
    return max(machine.probe("fp32", threads) for _ in range(2))


def _settle() -> None:
    """Wait, half a second at most, until no thread of this process works: some libraries' workers spin after a call."""
    for _ in range(250):
        before = time.process_time()
        time.sleep(0.002)
        if time.process_time() - before < 0.0002:
            return
