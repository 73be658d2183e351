"""What a launch did, counted, and the cycles that the model gives it. To compare two kernels, not to promise a time."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .header import PIPES
from .intrinsics import INTRINSICS
from .targets import Target


@dataclass(frozen=True)
class Count:
    """Of one launch.

    Attributes:
        instructions: name -> how many; of the library's, without flags, barriers and the scalar unit's accesses.
        repeats: repeats of 256 bytes on the vector unit.
        steps: steps of the cube unit: 16 x 16 x 16 multiply-adds of 16-bit items, 16 x 16 x 4 of float32.
        moved: pipe -> bytes between global memory and the core.
        synchronisations: flags set, flags waited for, barriers.
        busy: pipe -> cycles, over all programs.
        core_cycles: cycles of the core with most to do, when programs go to the first core that is free.
        memory_cycles: cycles that the chip's memory needs for all bytes moved.
        programs: cycles of each program.
    """

    instructions: dict[str, int]
    repeats: int
    steps: int
    moved: dict[str, int]
    synchronisations: tuple[int, int, int]
    busy: dict[str, float]
    core_cycles: float
    memory_cycles: float
    programs: tuple[float, ...]

    @classmethod
    def of(cls, data: Mapping[str, Any], core: str, chip: Target) -> Count:
        """From the machine's report."""
        units = {name: amount for name, (_, amount) in data["instructions"].items()}
        moved = {pipe: int(_sum(units, pipe)) for pipe in ("MTE2", "MTE3", "FIX") if _sum(units, pipe)}
        scalar = ("SCALAR.LOAD", "SCALAR.STORE")
        return cls(
            {name: number for name, (number, _) in data["instructions"].items() if name not in scalar},
            int(
                sum(
                    n
                    for name, n in units.items()
                    if INTRINSICS[name].pipe == "V" and INTRINSICS[name].layout != "BlockMove"
                )
            ),
            int(_sum(units, "M")),
            moved,
            (int(data["synchronisations"][0]), int(data["synchronisations"][1]), int(data["synchronisations"][2])),
            {name: data["busy"][number] for name, number in PIPES.items() if data["busy"][number]},
            _last_core(data["programs"], chip.cores(core)),
            sum(moved.values()) / chip.bytes_per_cycle,
            tuple(data["programs"]),
        )

    @property
    def cycles(self) -> float:
        """The larger of what the cores and what the memory need."""
        return max(self.core_cycles, self.memory_cycles)

    def __str__(self) -> str:
        moved = ", ".join(f"{pipe} {amount:,} bytes" for pipe, amount in self.moved.items())
        busy = ", ".join(f"{pipe} {cycles:,.0f}" for pipe, cycles in self.busy.items())
        counts = ", ".join(
            f"{name} {number}" for name, number in sorted(self.instructions.items(), key=lambda c: -c[1])
        )
        return (
            f"cycles  {self.cycles:,.0f} (cores {self.core_cycles:,.0f}, memory {self.memory_cycles:,.0f}), "
            f"{len(self.programs)} programs\n"
            f"work    {sum(self.instructions.values()):,} instructions, {self.repeats:,} repeats, {self.steps:,} cube steps\n"
            f"moved   {moved}\nbusy    {busy} cycles over all programs\n"
            f"order   {self.synchronisations[0]} flags set, {self.synchronisations[1]} waits, {self.synchronisations[2]} barriers\n"
            f"counts  {counts}"
        )


def _sum(units: Mapping[str, float], pipe: str) -> float:
    return sum(amount for name, amount in units.items() if INTRINSICS[name].pipe == pipe)


def _last_core(programs: Sequence[float], cores: int) -> float:
    """When the last of the cores is done, if each program goes to the first core that is free."""
    free = [0.0] * min(cores, max(1, len(programs)))
    for cycles in programs:
        heapq.heappush(free, heapq.heappop(free) + cycles)
    return max(free)
