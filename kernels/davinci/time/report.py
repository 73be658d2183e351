"""From records to numbers: the chip's cycles, and the report about them."""

from __future__ import annotations

import json
import linecache
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..instructions.allocation import BUFFER_NAMES, GLOBAL
from ..instructions.program import KernelProgram
from ..machine import Machine, uncertain_constants
from ..run.execute import Execution
from .picture import svg
from .signature import signature
from .timeline import PIPES, CoreTime, CoreTimeline, Costs, Event, Statistics, copy_loops

HOTTEST_LINES = 10
CUBE_FLOP_PER_CYCLE = 8192
NAMES = {**BUFFER_NAMES, GLOBAL: "GM"}


@dataclass
class CoreClass:
    """Cores that time alike."""

    cores: np.ndarray
    time: CoreTime


class Timing:
    """The records of one run, and their cycles for any set of constants."""

    def __init__(self, program: KernelProgram, execution: Execution, machine: Machine) -> None:
        self._program = program
        self._machine = machine
        self._records = execution.records
        self._reuse = execution.reuse()
        self._copies = copy_loops(program.body)

    def report(self) -> Report:
        """The report for the machine's constants."""
        classes = self._classes(self._machine, True)
        cycles = self._chip_cycles(classes, self._machine)
        return Report(self._program, self._machine, classes, cycles, self._hbm_bytes(classes))

    def sensitivity(self) -> dict[str, tuple[int, int]]:
        """Cycles with each uncertain constant at either end of its range."""
        result = {}
        for name, bounds in uncertain_constants().items():
            cycles = [self.cycles_with({name: value}) for value in bounds]
            result[name] = (cycles[0], cycles[1])
        return result

    def cycles_with(self, constants: Mapping[str, float]) -> int:
        """Cycles with some constants replaced."""
        machine = self._machine.with_constants(constants)
        return self._chip_cycles(self._classes(machine, False), machine)

    def _chip_cycles(self, classes: list[CoreClass], machine: Machine) -> int:
        """The slowest core's cycles, and no fewer than HBM needs for what all cores move."""
        slowest = _total(classes, self._program.block_num, machine)
        return int(np.ceil(max(slowest, _hbm_cycles(self._hbm_bytes(classes), machine)) + machine["launch.cycles"]))

    def _hbm_bytes(self, classes: list[CoreClass]) -> float:
        """First reads of all tensors, and all writes."""
        moved = [(len(c.cores), path, n) for c in classes for path, n in c.time.statistics.bytes.items()]
        writes = sum(cores * n for cores, (_, target), n in moved if target == GLOBAL)
        return writes + sum(r.first_read for r in self._reuse.values())

    def _classes(self, machine: Machine, with_events: bool) -> list[CoreClass]:
        costs = Costs(machine, self._read_rates(machine), self._write_rate(machine))
        found: list[CoreClass] = []
        for numbers, records in self._records:
            marks = signature(records, numbers.size)
            for mark in np.unique(marks):
                lanes = np.flatnonzero(marks == mark)
                timeline = CoreTimeline(machine, costs, self._copies, with_events)
                timeline.walk(records, int(lanes[0]))
                found.append(CoreClass(numbers[lanes], timeline.finish()))
        return found

    def _bandwidth_share(self, machine: Machine) -> float:
        cores = min(self._program.block_num, machine.cores)
        return machine["hbm.bytes_per_second"] / (machine.megahertz * 1e6) / cores

    def _read_rates(self, machine: Machine) -> dict[int, float]:
        """Bytes per cycle and core per tensor: first touches come from HBM, others from L2 when everything fits there."""
        cold = min(machine["gm.read_cold"], self._bandwidth_share(machine))
        fits = sum(r.size for r in self._reuse.values()) <= machine["l2.bytes"]
        warm = machine["gm.read_warm"] if fits else cold
        return {key: r.read / (r.first_read / cold + (r.read - r.first_read) / warm) for key, r in self._reuse.items()}

    def _write_rate(self, machine: Machine) -> float:
        """Bytes per cycle and core: the core's own rate, or its share of HBM."""
        return min(machine["gm.write"], self._bandwidth_share(machine))


def _hbm_cycles(moved: float, machine: Machine) -> float:
    return moved / machine["hbm.bytes_per_second"] * machine.megahertz * 1e6


def _total(classes: list[CoreClass], block_num: int, machine: Machine) -> float:
    """Cycles of the cores: waves of blocks over them; barriers wait for the slowest."""
    segments = max(len(c.time.segments) for c in classes)
    if segments > 1:
        longest = [max(c.time.segments[i] for c in classes if i < len(c.time.segments)) for i in range(segments)]
        return float(sum(longest))
    per_block = np.zeros(block_num)
    for group in classes:
        per_block[group.cores] = group.time.cycles
    per_core = [per_block[core :: machine.cores].sum() for core in range(min(machine.cores, block_num))]
    return float(max(per_core))


class Report:
    """The timing of one run, for people (``str``), scripts (``to_dict``) and trace viewers (``save_trace``).

    Attributes:
        cycles: estimated cycles of the whole kernel.
        microseconds: the same at the chip's clock.
        busy: per cent of the slowest core's time that each pipe works.
        hbm_bytes: bytes read from global memory for the first time, and bytes written to it.
        bytes_moved: bytes per path over all cores, such as {"GM->UB": 65536}.
    """

    def __init__(
        self, program: KernelProgram, machine: Machine, classes: list[CoreClass], cycles: int, hbm_bytes: float
    ) -> None:
        self.name = program.name
        self.chip = machine.chip
        self.cycles = cycles
        self.microseconds = cycles / machine.megahertz
        self.block_num = program.block_num
        self.peak_bytes = {BUFFER_NAMES[s]: (used, machine.capacity(s)) for s, used in program.peak_bytes.items()}
        slowest = max(classes, key=lambda c: c.time.cycles)
        self._slowest = slowest
        self._machine = machine
        self.core_cycles = {int(core): group.time.cycles for group in classes for core in group.cores}
        whole = slowest.time.cycles or 1.0
        self.busy = {p: 100 * slowest.time.statistics.busy[p] / whole for p in PIPES}
        self.totals = Statistics()
        for group in classes:
            self.totals.add(group.time.statistics, len(group.cores))
        self.bytes_moved = {f"{NAMES[a]}->{NAMES[b]}": int(n) for (a, b), n in self.totals.bytes.items()}
        self.hbm_bytes = hbm_bytes
        self.instructions = {name: int(n) for name, n in self.totals.instructions.items()}

    def roofline(self) -> dict[str, float]:
        """Cycles that each resource alone would need: the slowest core's pipes and arithmetic, and the chip's HBM."""
        machine, statistics = self._machine, self._slowest.time.statistics
        waves = -(-self.block_num // machine.cores)
        bounds = {pipe: statistics.busy[pipe] for pipe in PIPES}
        bounds["cube arithmetic"] = statistics.flop / CUBE_FLOP_PER_CYCLE
        result = {name: waves * value for name, value in bounds.items()}
        result["HBM"] = _hbm_cycles(self.hbm_bytes, machine)
        return result

    def binding(self) -> tuple[str, float]:
        """What binds: the resource with the largest share of the time, and that share in per cent."""
        bounds = self.roofline()
        name = max(bounds, key=lambda n: bounds[n])
        return name, 100 * bounds[name] / max(self.cycles, 1)

    def hottest_lines(self) -> list[tuple[str, int, float, str]]:
        """The source lines whose instructions occupy pipes longest on the slowest core: (file, line, cycles, text)."""
        lines = sorted(self._slowest.time.statistics.lines.items(), key=lambda item: -item[1])[:HOTTEST_LINES]
        return [(file, line, cycles, linecache.getline(file, line).strip()) for (file, line), cycles in lines]

    def to_dict(self) -> dict[str, Any]:
        """Everything, in JSON's types."""
        name, share = self.binding()
        return {
            "kernel": self.name,
            "chip": self.chip,
            "cycles": self.cycles,
            "microseconds": self.microseconds,
            "block_num": self.block_num,
            "busy_percent": self.busy,
            "bytes_moved": self.bytes_moved,
            "instructions": self.instructions,
            "flop": self.totals.flop,
            "roofline_cycles": self.roofline(),
            "binding": {"resource": name, "percent": share},
            "peak_bytes": self.peak_bytes,
            "hottest_lines": [{"file": f, "line": n, "cycles": c, "source": t} for f, n, c, t in self.hottest_lines()],
            "core_cycles": {str(core): cycles for core, cycles in self.core_cycles.items()},
        }

    def to_json(self) -> str:
        """``to_dict`` as text."""
        return json.dumps(self.to_dict(), indent=1)

    def __str__(self) -> str:
        name, share = self.binding()
        spread = sorted(self.core_cycles.values())
        rows = [
            f"{self.name} on {self.chip}: {self.cycles} cycles, {self.microseconds:.1f} us, {self.block_num} blocks "
            f"(estimated; fastest block {spread[0]:.0f}, slowest {spread[-1]:.0f} cycles)",
            f"bound by {name}: {share:.0f} % of the time",
            "pipes busy     " + "  ".join(f"{p} {self.busy[p]:.0f} %" for p in PIPES),
            "bytes moved    " + "  ".join(f"{path} {n}" for path, n in sorted(self.bytes_moved.items())),
            "buffers        " + "  ".join(f"{b} {used}/{size}" for b, (used, size) in self.peak_bytes.items()),
            "instructions   "
            + "  ".join(f"{n} {k}" for n, k in sorted(self.instructions.items(), key=lambda i: -i[1])),
            "hottest lines  (cycles on the slowest block)",
        ]
        rows += [f"  {c:10.0f}  {os.path.basename(f)}:{n}  {t[:80]}" for f, n, c, t in self.hottest_lines()]
        return "\n".join(rows)

    @property
    def events(self) -> list[Event]:
        """The slowest block's instructions with their start and end; repeated loop iterations appear once."""
        return self._slowest.time.events

    def save_trace(self, path: str) -> None:
        """Write the slowest block's timeline for Perfetto or chrome://tracing; one cycle is one microsecond there."""
        core = int(self._slowest.cores[0])
        rows: list[dict[str, Any]] = [
            {"name": "thread_name", "ph": "M", "pid": core, "tid": i, "args": {"name": pipe}}
            for i, pipe in enumerate(PIPES)
        ]
        for event in self.events:
            rows.append(
                {
                    "name": event.name,
                    "ph": "X",
                    "pid": core,
                    "tid": PIPES.index(event.pipe),
                    "ts": event.start,
                    "dur": event.end - event.start,
                    "args": {"line": f"{os.path.basename(event.line[0])}:{event.line[1]}"},
                }
            )
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": rows, "otherData": {"kernel": self.name, "chip": self.chip}}, file)

    def save_picture(self, path: str) -> None:
        """Write the slowest block's timeline as SVG."""
        title = (
            f"{self.name} on {self.chip}, block {int(self._slowest.cores[0])}: {self._slowest.time.cycles:.0f} cycles"
        )
        with open(path, "w", encoding="utf-8") as file:
            file.write(svg(self.events, self._slowest.time.cycles, title))
