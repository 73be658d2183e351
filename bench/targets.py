"""What the kernels are meant to reach: how many times as fast as the best peer, and how much of the machine's limit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class Measured(Protocol):
    """A row of the benchmark."""

    operation: str
    shape: str
    threads: int
    seconds: dict[str, float]

    def best_peer(self) -> float: ...
    def percent(self, name: str) -> float: ...


@dataclass(frozen=True)
class Target:
    """Least ratio (the best peer's time / ours) for 1 and for 2 threads, and least per cent of the limit, for one problem."""

    operation: str
    shape: str
    ratios: dict[int, float]
    percents: dict[int, float] = field(default_factory=dict)


def _each(operation: str, shapes: Iterable[str], one: float, two: float, percent: float = 0) -> list[Target]:
    percents = {1: percent} if percent else {}
    return [Target(operation, shape, {1: one, 2: two}, percents) for shape in shapes]


TARGETS = [
    *_each("cholesky_inverse", ["32 x 128"], 4.5, 8, percent=60),
    *_each("cholesky_inverse", ["16 x 256"], 2.5, 3),
    *_each("cholesky_inverse", ["8 x 512"], 2.3, 2.5),
    *_each("cholesky_inverse", ["8 x 1024"], 1.6, 2),
    *_each("fisher_covariance", ["fp32 N=1536 d=1024 b=128"], 1.3, 2.2),
    *_each("fisher_covariance", ["fp32 N=1536 d=1024 b=1024"], 1.1, 1.3),
    *_each("fisher_covariance", ["bf16 N=1536 d=1024 b=128"], 2.2, 2.5),
    *_each("fisher_covariance", ["bf16 N=1536 d=1024 b=1024"], 2, 1.8),
    *_each("precondition", ["1024x1024 bg=128 ba=128", "4096x1024 bg=128 ba=128"], 1.4, 1.6),
    *_each("layer_norm", ["forward fp32 6144x1024", "backward fp32 6144x1024"], 2, 2, percent=80),
    *_each("residual_dropout_layer_norm", ["forward fp32 6144x1024"], 8, 8),
    *_each("residual_dropout_layer_norm", ["backward fp32 6144x1024"], 4, 4),
    *_each("encoder_step", ["forward and backward, 4 layers of 256"], 1, 1),
]


def table(rows: Sequence[Measured]) -> str:
    """A Markdown table of every target that `rows` has a result for."""
    lines = [
        "| problem | threads | best peer / ours | needed | % of the limit | needed | met |",
        "|---|---|---|---|---|---|---|",
    ]
    for target in TARGETS:
        for row in rows:
            if (row.operation, row.shape) == (target.operation, target.shape) and row.threads in target.ratios:
                lines.append(_line(target, row, _best_peer(row, rows) / row.seconds["ours"]))
    return "\n".join(lines)


def _best_peer(row: Measured, rows: Sequence[Measured]) -> float:
    """Seconds, with as many threads or fewer: a peer that more threads slow down would be run with fewer."""
    same = [other for other in rows if (other.operation, other.shape) == (row.operation, row.shape)]
    return min(other.best_peer() for other in same if other.threads <= row.threads)


def _line(target: Target, row: Measured, ratio: float) -> str:
    percent = row.percent("ours")
    needed, needed_percent = target.ratios[row.threads], target.percents.get(row.threads)
    met = ratio >= needed and percent >= (needed_percent or 0)
    percent_text = "" if needed_percent is None else f"{needed_percent:g}"
    cells = (f"{row.operation} {row.shape}", row.threads, f"{ratio:.2f}", f"{needed:g}", f"{percent:.0f}", percent_text)
    return f"| {' | '.join(map(str, cells))} | {'yes' if met else 'no'} |"
