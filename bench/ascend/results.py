"""What the simulator found of a problem, and what the table of targets takes from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional

from bench.case import Case
from bench.targets import MILLISECONDS, SHARE, Found, Target
from bert_thor.kernels.davinci.machine import pessimistic_constants

RATES = {"read rate": 32.0 * 32, "bandwidth": 1200.0, "cube": 8192.0 * 32}
"""Of the chip at 1 GHz: bytes read and bytes moved per cycle, FLOP per cycle."""
CYCLES_OF_A_MILLISECOND = 1e6
COLUMNS = ("found", "worst single constant", "all at their worst")
BLOCKS_PER_CORE = 128 / 32


@dataclass(frozen=True)
class Row:
    """One line of the result; cycles of the whole chip at 1 GHz."""

    operation: str
    shape: str
    cycles: int
    worst: int
    worst_constant: str
    all: int
    limit: str
    limit_cycles: float
    binding: str
    binding_percent: float
    vector_percent: float

    @property
    def name(self) -> str:
        """That of its case."""
        return f"{self.operation} {self.shape}"

    @property
    def every(self) -> tuple[int, int, int]:
        """Cycles with the nominal constants, with the worst single one, with all at their worst."""
        return self.cycles, self.worst, self.all

    @property
    def percents(self) -> tuple[float, ...]:
        """Of the limit, alike; 0 where no limit of the problem is known."""
        return tuple(100 * self.limit_cycles / cycles for cycles in self.every)

    def line(self) -> str:
        """For the terminal."""
        own = f"{self.percents[0]:.0f} % of {self.limit}; " if self.limit_cycles else ""
        return (
            f"{self.name}: {self.cycles:,} cycles, {self.cycles / 1000:.1f} us; {own}vector unit "
            f"{self.vector_percent:.0f} %; bound by {self.binding} ({self.binding_percent:.0f} %); worst {self.worst:,} "
            f"({self.worst_constant}), all {self.all:,}"
        )


def measure(case: Case) -> Row:
    """Run the program of a case."""
    (run,) = case.contenders.values()
    result = run()
    worst = {name: max(ends) for name, ends in result.sensitivity().items()}
    name = max(worst, key=lambda n: worst[n])
    limit, limit_cycles = case.bound(RATES)
    binding, share = result.report.binding()
    cycles = (result.cycles, worst[name], name, result.cycles_with(pessimistic_constants()))
    return Row(case.operation, case.shape, *cycles, limit, limit_cycles, binding, share, result.report.busy["V"])


def found(rows: Mapping[str, Row]) -> Found:
    """The values of targets in `rows`, with the nominal constants and with worse ones."""

    def values(target: Target) -> Optional[tuple[float, ...]]:
        row = rows.get(target.name)
        if row is None:
            return None
        if target.quantity == SHARE:
            return row.percents
        if target.quantity == MILLISECONDS:
            return tuple(cycles / CYCLES_OF_A_MILLISECOND for cycles in row.every)
        return _against_mindspore(row, rows)

    return values


def _against_mindspore(row: Row, rows: Mapping[str, Row]) -> Optional[tuple[float, ...]]:
    """MindSpore's cycles / ours: two kernels make an inverse, of one block on one core; two make a preconditioning."""
    pairs = {
        "precondition": ("matmul_cube_fracz_left_cast 2048x1024", "matmul_cube_fracz_right_mul 2048x1024"),
        "cholesky_inverse": ("cholesky_trsm 1 block of 128", "batch_matmul 32 blocks of 128"),
    }
    operation = row.operation.replace("_vector", "")
    theirs = [rows.get(f"mindspore {name}") for name in pairs[operation]]
    if None in theirs:
        return None
    share = BLOCKS_PER_CORE if operation == "cholesky_inverse" else 1.0
    sums = [sum(other.every[k] for other in theirs if other) for k in range(len(COLUMNS))]
    return tuple(share * total / cycles for total, cycles in zip(sums, row.every))
