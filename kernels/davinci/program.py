"""The traced program: loops, branches, allocations and instructions over symbolic scalars."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from .errors import Location
from .expressions import Expression, Variable

if TYPE_CHECKING:
    from .instructions.table import Instruction

GLOBAL, UB, L1, L0A, L0B, L0C, REGISTER = "gm", "ubuf", "cbuf", "ca", "cb", "cc", "register"

_identifiers = itertools.count(1)


@dataclass(eq=False)
class Allocation:
    """Memory of one tensor: where it lives, its size, and what it may be used for.

    Attributes:
        copies: how often the buffer holds it (loops with ``thread_num`` multiply what they declare).
        address: byte offset in its on-chip buffer, which decides the banks.
        granularity: bytes per cell of the written map, the smallest item of all views.
        scope_open: False once the ``with`` block that declared it has ended.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scope: str
    location: Location
    copies: int = 1
    address: int = 0
    is_workspace: bool = False
    is_atomic_add: bool = False
    initial: list[Any] | None = None
    granularity: int = 0
    scope_open: bool = True
    identifier: int = field(default_factory=lambda: next(_identifiers))

    def __post_init__(self) -> None:
        self.granularity = np.dtype(self.dtype).itemsize
        self.size = int(np.prod(self.shape, dtype=np.int64))
        self.bytes = self.size * self.granularity


@dataclass
class Block:
    """Nodes in program order."""

    nodes: list[Node] = field(default_factory=list)


@dataclass(eq=False)
class Declare:
    """The point where a local tensor comes to life, its memory unwritten."""

    allocation: Allocation


@dataclass(eq=False)
class DeclareScalar:
    """The point where a scalar comes to life, without a value."""

    scalar: Variable


@dataclass(eq=False)
class Assign:
    """``scalar.set_as(value)``; the value is an expression, a number, or an element of a tensor."""

    scalar: Variable
    value: Any
    location: Location


@dataclass(eq=False)
class Loop:
    """``for_range``. ``block_num`` > 1 marks the loop whose iterations are the cores."""

    variable: Variable
    begin: Any
    end: Any
    thread_num: int
    block_num: int
    location: Location
    body: Block = field(default_factory=Block)
    summary: Any | None = None


@dataclass(eq=False)
class Branch:
    """``if_scope`` with its ``elif_scope`` and ``else_scope`` (condition None)."""

    arms: list[tuple[Expression | None, Block]]
    location: Location


@dataclass(eq=False)
class Jump:
    """``tik_break``, ``tik_continue`` or ``tik_return``."""

    kind: str
    location: Location


@dataclass(eq=False)
class Barrier:
    """``block_barrier``: every core waits for all others."""

    location: Location


Node = Union[Declare, DeclareScalar, Assign, Loop, Branch, Jump, Barrier, "Instruction"]


@dataclass(eq=False)
class KernelProgram:
    """What ``BuildCCE`` leaves behind."""

    name: str
    body: Block
    inputs: list[Allocation]
    outputs: list[Allocation]
    workspaces: list[Allocation]
    block_num: int
    peak_bytes: dict[str, int]
    arguments: list[Variable] = field(default_factory=list)
