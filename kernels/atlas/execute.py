"""Runs a compiled kernel on the model of the core: results in the caller's arrays, hazards, counts, cycles."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from . import lower, machine
from .compile import Argument, Compiled, signature_of
from .count import Count
from .errors import ArgumentError
from .mutate import Mutant
from .rewrite import Rewritten, called, core_of, rewrite, workspace_of
from .targets import target

Grid = tuple[int, int, int]
POISON = 0xFF  # of scratch memory: NaN in every type


@dataclass(frozen=True)
class Hazard:
    """Something that the device need not do as it was done here.

    Attributes:
        sentence: what and where on the chip.
        place: the kernel's file and line, or only the file where the compiler kept no line.
        times: how often.
    """

    sentence: str
    place: str
    times: int

    def __str__(self) -> str:
        return f"{self.place}: {self.sentence}" + (f" ({self.times} times)" if self.times > 1 else "")


@dataclass(frozen=True)
class Result:
    """Of one launch; `reached` are the numbers of the flags and barriers that it came to."""

    hazards: tuple[Hazard, ...]
    count: Count
    reached: frozenset[int]

    @property
    def cycles(self) -> float:
        """Cycles of the launch on the target, by the model of `count.py`."""
        return self.count.cycles

    @property
    def report(self) -> str:
        """Hazards and counts as text."""
        found = "\n".join(f"hazard  {hazard}" for hazard in self.hazards) or "hazards 0"
        return f"{found}\n{self.count}"


class _Descriptor(ctypes.Structure):
    """MLIR's descriptor of a rank-1 memref."""

    _fields_ = (
        ("allocated", ctypes.c_void_p),
        ("aligned", ctypes.c_void_p),
        ("offset", ctypes.c_int64),
        ("size", ctypes.c_int64),
        ("stride", ctypes.c_int64),
    )

    @classmethod
    def of(cls, array: np.ndarray) -> _Descriptor:
        return cls(array.ctypes.data, array.ctypes.data, 0, array.size, 1)


class Program:
    """A compiled kernel that can be launched here."""

    def __init__(self, kernel: Any, compiled: Compiled) -> None:
        self.kernel, self.compiled = kernel, compiled
        self.core = core_of(compiled.hivm)
        self.workspace = workspace_of(compiled.hivm)
        self.rewritten: Rewritten = rewrite(compiled.hivm, compiled.name, compiled.file)
        lower.load_library(self.core, called(compiled.hivm))

    @cached_property
    def _address(self) -> int:
        return lower.kernel_address(self.rewritten.text, self.compiled.name)

    def run(self, grid: Sequence[int], *arguments: Argument, mutant: Mutant | None = None) -> Result:
        """Runs every program of the grid; arrays are read and written in place.

        `mutant` leaves out flags or barriers, or moves buffers. Raises `ArgumentError` for arguments whose types are not
        those that the kernel was compiled for.
        """
        extents = _extents(grid)
        self._check(arguments)
        scratch = np.full(max(1, self.workspace * int(np.prod(extents))), POISON, np.uint8)
        arrays = [argument for argument in arguments if isinstance(argument, np.ndarray)]
        machine.mutate(mutant.skip if mutant else (), mutant.moved if mutant else None)
        machine.begin_launch([*arrays, scratch])
        self._call(extents, scratch, arguments)
        machine.mutate()
        return self._result(machine.report(), extents)

    def _check(self, arguments: Sequence[Argument]) -> None:
        given = signature_of(self.kernel, arguments)
        for name, kind in self.compiled.signature.items():
            if given.get(name) != kind:
                raise ArgumentError(
                    f"{self.compiled.name}: {name} is {given.get(name, 'missing')}, compiled for {kind}"
                )
        lost = [name for name, a in zip(given, arguments) if isinstance(a, np.ndarray) and not a.flags.c_contiguous]
        if lost:
            raise ArgumentError(f"{self.compiled.name}: {lost[0]} is not contiguous in memory")

    def _call(self, grid: Grid, scratch: np.ndarray, arguments: Sequence[Argument]) -> None:
        nothing = np.zeros(1, np.uint8)
        values: list[Any] = [ctypes.c_int64(0)]
        kept = [_Descriptor.of(array) for array in (nothing, scratch)]
        values += [ctypes.byref(descriptor) for descriptor in kept]
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                kept.append(_Descriptor.of(argument))
                values.append(ctypes.byref(kept[-1]))
            else:
                values.append(ctypes.c_float(argument) if isinstance(argument, float) else ctypes.c_int32(argument))
        values += [ctypes.c_int32(extent) for extent in grid]
        function = ctypes.CFUNCTYPE(None)(self._address)
        function.argtypes = [type(v) if isinstance(v, ctypes._SimpleCData) else ctypes.c_void_p for v in values]
        for number in range(int(np.prod(grid))):
            machine.begin_program(number)
            function(*values)

    def _result(self, data: Mapping[str, Any], grid: Grid) -> Result:
        chip = target(self.compiled.target)
        hazards = tuple(Hazard(text, self._place(line), times) for text, line, times in data["hazards"])
        return Result(hazards, Count.of(data, self.core, chip), frozenset(int(n) for n in data["reached"]))

    def _place(self, line: int) -> str:
        return f"{Path(self.compiled.file)}:{line}" if line else self.compiled.file


def _extents(grid: Iterable[int]) -> Grid:
    extents = [*grid, 1, 1, 1][:3]
    if any(extent < 1 for extent in extents):
        raise ArgumentError(f"a grid has at least one program along each axis, not {tuple(grid)}")
    return extents[0], extents[1], extents[2]
