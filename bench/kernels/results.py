"""What was measured of a problem, and what the table of targets takes from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Optional

from bench.targets import (
    ONE_THREAD,
    OURS_ONE_THREAD,
    OURS_TWO_THREADS,
    SHARE_OF_ONE_THREAD,
    TWO_THREADS,
    Found,
    Target,
)


@dataclass(frozen=True)
class Row:
    """One line of the result: `limit` is what the machine allows, in FLOP/s or bytes/s, measured in the same run."""

    operation: str
    shape: str
    threads: int
    unit: str
    work: float
    limit: float
    seconds: dict[str, float]
    repeatability: float
    quiet_rounds: int
    noisy: bool
    variants: dict[str, float] = field(default_factory=dict)
    """Seconds of every form of the contenders, where a contender has several and the fastest counts."""

    @property
    def name(self) -> str:
        """That of its case."""
        return f"{self.operation} {self.shape}"

    def percent(self, name: str) -> float:
        """Of the limit."""
        return 100 * self.work / self.seconds[name] / self.limit

    def best_peer(self) -> float:
        """Seconds; infinite without a peer."""
        return min((s for name, s in self.seconds.items() if name != "ours"), default=float("inf"))

    def line(self) -> str:
        """For the terminal."""
        contenders = [
            f"{name} {seconds * 1e3:.3f} ms {self.work / seconds / 1e9:.0f} {self.unit} {self.percent(name):.0f} %"
            for name, seconds in self.seconds.items()
        ]
        ratio = (
            f"best peer / ours {self.best_peer() / self.seconds['ours']:.2f}" if len(self.seconds) > 1 else "no peer"
        )
        return f"{self.name} T={self.threads}: {'; '.join(contenders)}; {ratio}{' NOISY' if self.noisy else ''}"


def found(rows: Sequence[Row]) -> Found:
    """The values of targets in `rows`."""
    threads = {ONE_THREAD: 1, TWO_THREADS: 2, SHARE_OF_ONE_THREAD: 1, OURS_ONE_THREAD: 1, OURS_TWO_THREADS: 2}

    def values(target: Target) -> Optional[tuple[float]]:
        for row in rows:
            if row.name == target.name and row.threads == threads[target.quantity]:
                if target.quantity == SHARE_OF_ONE_THREAD:
                    return (row.percent("ours"),)
                ratio = _best_peer(row, rows) / row.seconds["ours"]
                return (1 / ratio if target.quantity in (OURS_ONE_THREAD, OURS_TWO_THREADS) else ratio,)
        return None

    return values


def _best_peer(row: Row, rows: Sequence[Row]) -> float:
    """Seconds, with as many threads or fewer: a peer that more threads slow down would be run with fewer."""
    return min(other.best_peer() for other in rows if other.name == row.name and other.threads <= row.threads)
