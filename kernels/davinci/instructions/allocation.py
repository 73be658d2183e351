"""Where a tensor lives: the buffers by name, and the memory of one tensor."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import Location

GLOBAL, UB, L1, L0A, L0B, L0C, REGISTER = "gm", "ubuf", "cbuf", "ca", "cb", "cc", "register"
BUFFER_NAMES = {UB: "UB", L1: "L1", L0A: "L0A", L0B: "L0B", L0C: "L0C"}

_identifiers = itertools.count(1)


@dataclass(eq=False)
class Allocation:
    """Memory of one tensor: where it lives, its size, and what it may be used for.

    Attributes:
        copies: how often the buffer holds it (loops with ``thread_num`` multiply what they declare).
        address: byte offset in its on-chip buffer, which decides the banks.
        granularity: bytes per cell of the written map, the smallest item of all views.
        lies_on: the input over which this output is stored, when the caller says so.
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
    lies_on: Allocation | None = None
    scope_open: bool = True
    identifier: int = field(default_factory=lambda: next(_identifiers))

    def __post_init__(self) -> None:
        self.granularity = np.dtype(self.dtype).itemsize
        self.size = int(np.prod(self.shape, dtype=np.int64))
        self.bytes = self.size * self.granularity
