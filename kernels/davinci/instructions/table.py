"""The instruction table: what each entry declares, how a call is bound to it, and what it plans.

An entry names its parameters as TIK does, says which of them are tensors (and whether they are read or written), which
are values, and which are switches fixed while tracing. Everything else is an integer, possibly symbolic. ``plan`` checks
the integers against the encoding's limits and says which elements each operand touches; ``run`` is the meaning, over
NumPy arrays with one row per lane; ``cycles`` is the cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable, Protocol

import numpy as np

from ..errors import ArgumentError, DataTypeError, LimitError, Location, ScopeError
from ..machine import Machine
from .expressions import Expression
from .patterns import Pattern
from .tensors import Tensor

Cost = tuple[float, float]
Integers = dict[str, Any]


@dataclass
class Plan:
    """What one setting of an instruction's integers amounts to.

    Attributes:
        patterns: elements per tensor operand.
        alignment: bytes to which each operand's start must be aligned.
        amount: size of the work in the unit of the instruction's cost formula (repeats, bytes, fractals).
        whole_blocks: accesses are rounded to 32-byte blocks and may touch a tensor's padding.
        integers: the checked integers.
    """

    patterns: dict[str, Pattern]
    alignment: dict[str, int] = field(default_factory=dict)
    amount: float = 1
    whole_blocks: bool = False
    integers: Integers = field(default_factory=dict)
    sequential: dict[Any, bool] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)


class Unit(Protocol):
    """What an instruction's meaning sees of the run: its operands' values, one row per lane, with what is poison in them."""

    def read(self, operand: Any, pattern: Pattern) -> tuple[np.ndarray, np.ndarray | None]:
        """Values of shape (lanes or 1, *pattern.shape), and which of them are poison (None when none is)."""

    def read_all(
        self, operands: dict[str, Any], patterns: dict[str, Pattern], names: Sequence[str]
    ) -> tuple[list[np.ndarray], np.ndarray | None]:
        """Several operands and the poison of their combination."""

    def write(self, operand: Any, pattern: Pattern, values: np.ndarray, poison: np.ndarray | None) -> None:
        """Store values of shape (lanes or 1, *pattern.shape), rounded to the operand's type."""

    def read_bits(self, operand: Any, pattern: Pattern) -> tuple[np.ndarray, np.ndarray | None]:
        """Items of a bit mask, and as a second mask which of their bits are poison."""

    def write_bits(self, operand: Any, pattern: Pattern, values: np.ndarray, poison: np.ndarray | None) -> None:
        """Store items of a bit mask; the bits of ``poison`` say which of them are."""

    def add_atomically(self, operand: Any, pattern: Pattern, values: np.ndarray, poison: np.ndarray | None) -> None:
        """Add to global memory, lane after lane."""

    def steps(self, plan: Plan, operands: dict[str, Any], sources: Sequence[str]) -> Iterator[dict[str, Pattern]]:
        """The plan's patterns at once, or repeat by repeat when a repeat reads what an earlier one wrote."""

    def column(self, value: Any, dtype: str, dimensions: int) -> np.ndarray:
        """A scalar operand as an array of shape (lanes or 1, 1, ...)."""


@dataclass(frozen=True)
class Entry:
    """One instruction.

    Attributes:
        name: TIK's name.
        parameters: space-separated names in positional order, ``name=default`` for optional ones.
        reads, writes: which parameters are tensors (or lists of tensors).
        values: which parameters are numbers that only the arithmetic sees.
        switches: which parameters are fixed while tracing (modes, flags).
        pipe: the pipe that executes it, or a function of the instruction.
        check: run once when traced, on data types and scopes.
        plan, run, cycles: see the module.
        overlap: whether sources and destination in one tensor are held to the overlap rules.
        accumulates: dst == src1 with both repeat strides 0 is defined.
        banked: occupancy grows with bank conflicts.
        dtypes: the source types that it takes; empty when ``check`` alone says.
        accumulator: (operand, switch): the operand is also read, inside the unit, when the integer ``switch`` is not 0.
    """

    name: str
    parameters: str
    pipe: Any
    plan: Callable[[Instruction, Integers], Plan | None]
    run: Callable[[Unit, Instruction, Plan, dict[str, Any], dict[str, Any]], None]
    cycles: Callable[[Machine, Instruction, Plan], Cost]
    reads: tuple[str, ...] = ("src",)
    writes: tuple[str, ...] = ("dst",)
    values: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    check: Callable[[Instruction], None] | None = None
    overlap: bool = False
    accumulates: bool = False
    banked: bool = False
    accumulator: tuple[str, str] | None = None
    dtypes: tuple[str, ...] = ()


class Instruction:
    """One call of an instruction in a program."""

    __slots__ = (
        "atomic",
        "entry",
        "fixed",
        "integers",
        "location",
        "operands",
        "operations",
        "pipe",
        "plans",
        "switches",
        "tensors",
        "values",
    )

    def __init__(self, entry: Entry, bound: dict[str, Any], location: Location, atomic: bool = False) -> None:
        self.entry = entry
        self.location = location
        self.atomic = atomic
        names = (*entry.reads, *entry.writes)
        self.tensors: dict[str, Any] = {n: bound.pop(n) for n in dict.fromkeys(names) if n in bound}
        self.values: dict[str, Any] = {n: bound.pop(n) for n in entry.values if n in bound}
        self.switches: dict[str, Any] = {n: bound.pop(n) for n in entry.switches if n in bound}
        self.integers: Integers = {n: _integer(self, n, v) for n, v in bound.items()}
        self.fixed = not any(_symbolic(v) for v in self.integers.values())
        self.plans: dict[Any, Plan | None] = {}
        self._check_tensors()
        self.operands = self._flat_operands()
        if entry.check:
            entry.check(self)
        self.pipe: str = entry.pipe if isinstance(entry.pipe, str) else entry.pipe(self)
        self.operations = self._count_operations()
        if self.fixed:
            self.plan(self.integers)

    def _check_tensors(self) -> None:
        for name, tensor in self.tensors.items():
            for item in tensor if isinstance(tensor, (list, tuple)) else (tensor,):
                if not isinstance(item, Tensor):
                    raise ArgumentError(
                        f"{self.entry.name}: {name} must be a tensor, not {type(item).__name__}", self.location
                    )
                if not item.allocation.scope_open:
                    raise ScopeError(
                        f"{self.entry.name}: {item.name} is used outside the scope that declared it", self.location
                    )

    def _count_operations(self) -> int:
        symbols = [v for v in (*self.integers.values(), *self.values.values()) if isinstance(v, Expression)]
        symbols += [t.offset for t in self.operands.values() if isinstance(t.offset, Expression)]
        return sum(s.operations() for s in symbols)

    def _flat_operands(self) -> dict[str, Tensor]:
        """Every tensor by name; members of a list are ``name[0]``, ``name[1]``, ..."""
        flat: dict[str, Tensor] = {}
        for name, tensor in self.tensors.items():
            if isinstance(tensor, (list, tuple)):
                flat.update({f"{name}[{i}]": item for i, item in enumerate(tensor)})
            else:
                flat[name] = tensor
        return flat

    def is_written(self, operand: str) -> bool:
        """Whether the instruction writes the operand (a key of ``operands``)."""
        return operand.split("[")[0] in self.entry.writes

    def is_read(self, operand: str) -> bool:
        """Whether the instruction reads the operand (a key of ``operands``)."""
        return operand.split("[")[0] in self.entry.reads

    def continues(self, operand: str) -> bool:
        """Whether the instruction adds to what the operand holds (or may, when its switch is symbolic)."""
        accumulator = self.entry.accumulator
        if accumulator is None or operand != accumulator[0]:
            return False
        switch = self.integers[accumulator[1]]
        return not isinstance(switch, int) or switch != 0

    def plan(self, integers: Integers) -> Plan | None:
        """The plan for concrete integers; None when the instruction does nothing (a scalar repeat of 0)."""
        key = tuple(integers.values())
        if key not in self.plans:
            self.plans[key] = self.entry.plan(self, integers)
        return self.plans[key]

    def fail(self, kind: type, sentence: str) -> Exception:
        """An error of the given kind at this instruction's line."""
        error: Exception = kind(f"{self.entry.name}: {sentence}", self.location)
        return error

    def require(self, name: str, value: int, low: int, high: int) -> None:
        """Refuse an integer outside the encoding."""
        if not low <= value <= high:
            raise self.fail(LimitError, f"{name} is {value}; the instruction encodes {low} to {high}")


def _symbolic(value: Any) -> bool:
    return isinstance(value, Expression) or (isinstance(value, tuple) and any(isinstance(v, Expression) for v in value))


def _integer(instruction: Instruction, name: str, value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_integer(instruction, name, v) for v in value)
    if isinstance(value, Expression):
        return value
    if isinstance(value, (bool, int, np.integer)) or (
        isinstance(value, (float, np.floating)) and float(value).is_integer()
    ):
        return int(value)
    raise instruction.fail(ArgumentError, f"{name} must be an integer or a scalar, not {value!r}")


# keywords that TIK's versions and instructions spell differently
ALIASES = {
    "burst_len": "burst",
    "dilation_w": "dilation_filter_w",
    "dilation_h": "dilation_filter_h",
    "repeat_times": "repeat_time",
    "_csize": "csize",
}


def bind(entry: Entry, arguments: Sequence[Any], keywords: dict[str, Any], location: Location) -> dict[str, Any]:
    """Arguments by parameter name, defaults filled in."""
    names: list[str] = []
    bound: dict[str, Any] = {}
    for word in entry.parameters.split():
        name, _, default = word.partition("=")
        names.append(name)
        if default:
            bound[name] = _DEFAULTS.get(default, default) if not default.lstrip("-").isdigit() else int(default)
    if len(arguments) > len(names):
        raise ArgumentError(
            f"{entry.name} takes {len(names)} arguments ({entry.parameters}); {len(arguments)} were given", location
        )
    keywords = {k if k in names else ALIASES.get(k, k): v for k, v in keywords.items()}
    unknown = [k for k in keywords if k not in names]
    if unknown:
        raise ArgumentError(f"{entry.name} has no parameter {unknown[0]}; it takes ({entry.parameters})", location)
    bound.update(zip(names, arguments))
    bound.update(keywords)
    missing = [n for n in names if n not in bound]
    if missing:
        raise ArgumentError(f"{entry.name} needs {missing[0]}; it takes ({entry.parameters})", location)
    return {n: bound[n] for n in names}


_DEFAULTS: dict[str, Any] = {"None": None, "False": False, "True": True, "''": ""}


def check_types(instruction: Instruction, allowed: Sequence[tuple[str, ...]], names: Sequence[str]) -> None:
    """Refuse operand types that are not one of the allowed combinations, given in the order of names."""
    types = tuple(instruction.tensors[n].dtype for n in names)
    if types not in allowed:
        choices = "; ".join(" ".join(a) for a in allowed)
        raise instruction.fail(DataTypeError, f"({', '.join(names)}) are {' '.join(types)}; Ascend 910 has {choices}")


def check_scopes(instruction: Instruction, scopes: dict[str, tuple[str, ...]]) -> None:
    """Refuse operands in a buffer that the instruction cannot reach."""
    for name, allowed in scopes.items():
        tensor = instruction.tensors[name]
        for item in tensor if isinstance(tensor, (list, tuple)) else (tensor,):
            if item.scope not in allowed:
                raise instruction.fail(
                    ScopeError, f"{name} {item.name} is in {item.scope}; it must be in {' or '.join(allowed)}"
                )


def join(a: np.ndarray | None, b: np.ndarray | None) -> np.ndarray | None:
    """Poison of a combination: undefined where either part is; None means nowhere."""
    if a is None or b is None:
        return b if a is None else a
    return np.asarray(a | b)
