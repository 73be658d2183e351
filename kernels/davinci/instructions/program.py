"""The traced program: loops, branches, allocations and instructions over symbolic scalars."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Union

from ..errors import Location
from .allocation import Allocation
from .expressions import Expression, Variable
from .table import Instruction

MAX_BLOCKS = 65535


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
    """``for_range``. ``over_cores`` marks the loop whose iterations are the cores, ``block_num`` of them, a number or a scalar."""

    variable: Variable
    begin: Any
    end: Any
    thread_num: int
    block_num: Any
    location: Location
    over_cores: bool = False
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


Node = Union[Declare, DeclareScalar, Assign, Loop, Branch, Jump, Barrier, Instruction]


@dataclass(eq=False)
class KernelProgram:
    """What ``BuildCCE`` leaves behind.

    Attributes:
        block_num: number of cores; a scalar's value is only known in a run.
        tiling: inputs beside the operator's own, which tell a kernel for any shape what it has before it.
    """

    name: str
    body: Block
    inputs: list[Allocation]
    outputs: list[Allocation]
    workspaces: list[Allocation]
    block_num: Any
    peak_bytes: dict[str, int]
    arguments: list[Variable] = field(default_factory=list)
    tiling: list[Allocation] = field(default_factory=list)
