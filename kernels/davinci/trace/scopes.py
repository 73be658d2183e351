"""Lexical scopes of a kernel: which tensors are alive, and how many bytes of each on-chip buffer they take."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import CapacityError
from ..instructions.allocation import BUFFER_NAMES, GLOBAL, L0A, L0B, L0C, L1, UB, Allocation
from ..instructions.program import Block
from ..instructions.tensors import Scalar
from ..machine import Machine

ALIGNMENT = {UB: 32, L1: 512, L0A: 512, L0B: 512, L0C: 1024}


@dataclass
class Scope:
    """One ``with`` block: the nodes it collects and what was declared in it.

    Attributes:
        copies: how often each tensor declared here exists (the product of the enclosing loops' ``thread_num``).
        is_core_loop: this is the body of the loop over cores.
    """

    block: Block
    copies: int = 1
    is_core_loop: bool = False
    disable_sync: bool = False
    declared: list[Allocation | Scalar] = field(default_factory=list)


class Buffers:
    """Stack allocation in the on-chip buffers, checked against their size."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._used: dict[str, int] = dict.fromkeys(ALIGNMENT, 0)
        self.peak: dict[str, int] = dict.fromkeys(ALIGNMENT, 0)
        self._live: list[Allocation] = []

    def place(self, allocation: Allocation) -> None:
        """Give a local tensor its address; refuse it when the buffer is full."""
        scope = allocation.scope
        if scope not in ALIGNMENT:
            return
        needed = _rounded(allocation)
        capacity = self._machine.capacity(scope)
        if self._used[scope] + needed > capacity:
            live = [f"{a.name} {_rounded(a)} B" for a in self._live if a.scope == scope]
            copies = f" in {allocation.copies} copies (thread_num)" if allocation.copies > 1 else ""
            raise CapacityError(
                f"tensor {allocation.name} needs {needed} B{copies} of {BUFFER_NAMES[scope]}; {capacity - self._used[scope]} of "
                f"{capacity} B are free beside {', '.join(live) or 'nothing'}; use smaller tiles or end a scope earlier",
                allocation.location,
            )
        allocation.address = self._used[scope]
        self._used[scope] += needed
        self.peak[scope] = max(self.peak[scope], self._used[scope])
        self._live.append(allocation)

    def free(self, scope: str) -> int:
        """Bytes that nothing holds."""
        return self._machine.capacity(scope) - self._used[scope]

    def release(self, scope: Scope) -> None:
        """End a scope: its tensors and scalars may not be used any more."""
        for item in scope.declared:
            item.scope_open = False
            if isinstance(item, Allocation) and item.scope in ALIGNMENT:
                self._used[item.scope] -= _rounded(item)
                self._live.remove(item)


def _rounded(allocation: Allocation) -> int:
    unit = ALIGNMENT[allocation.scope]
    return -(-allocation.bytes // unit) * unit * allocation.copies


LOCAL_SCOPES = tuple(ALIGNMENT)
ALL_SCOPES = (GLOBAL, *LOCAL_SCOPES)
