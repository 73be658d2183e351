"""What an execution leaves for the timeline: the instructions in program order, shared by all lanes that agree.

Records form a tree like the program's. An array in a record has one entry per lane of the place where the record stands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Union

import numpy as np

from ..instructions.program import Assign, Barrier, Loop
from ..instructions.table import Instruction, Plan


@dataclass(eq=False)
class Operation:
    """One instruction with one plan; ``conflict`` is the slow-down by bank conflicts, a number or one per lane."""

    __slots__ = ("conflict", "instruction", "plan")

    instruction: Instruction
    plan: Plan
    conflict: Any


@dataclass(eq=False)
class ScalarOperation:
    """One ``set_as``."""

    __slots__ = ("node",)

    node: Assign


@dataclass(eq=False)
class Subset:
    """Records of some of the lanes: an arm of a branch, or the lanes for which an instruction has one plan."""

    index: np.ndarray
    records: list[Record]


@dataclass(eq=False)
class Chunk:
    """Some iterations of a loop, run together. ``starts[lane]`` is the lane's first row in ``records``, iterations follow.

    With ``starts`` None every lane has exactly one iteration here and keeps its row; ``index`` then restricts the lanes.
    """

    records: list[Record]
    starts: np.ndarray | None = None
    index: np.ndarray | None = None


@dataclass(eq=False)
class Iterations:
    """One run of a loop."""

    loop: Loop
    chunks: list[Chunk] = field(default_factory=list)


@dataclass(eq=False)
class Wait:
    """A block barrier."""

    node: Barrier


Record = Union[Operation, ScalarOperation, Subset, Iterations, Wait]
