"""How many cores a kernel asks for when that is a scalar: what one core finds before its loop over cores."""

from __future__ import annotations

from typing import Any

from ..errors import LimitError
from ..instructions.program import MAX_BLOCKS, Loop
from .execute import Execution
from .memory import Lanes
from .records import Record


class _Found(Exception):
    """The loop over cores is reached."""

    def __init__(self, cores: int) -> None:
        super().__init__(cores)
        self.cores = cores


class Scout(Execution):
    """One core's run up to the loop over cores, on memory of its own; the program's ``block_num`` is 1."""

    def count(self) -> int:
        """The number of cores; 1 for a run that does not reach the loop."""
        try:
            self.run()
        except _Found as found:
            return found.cores
        return 1

    def _loop(self, node: Loop, lanes: Lanes, records: list[Record]) -> Lanes | None:
        if not node.over_cores:
            return super()._loop(node, lanes, records)
        cores: Any = self.evaluate(node.block_num, lanes, node.location)
        if not 1 <= int(cores) <= MAX_BLOCKS:
            raise LimitError(f"block_num is {int(cores)}; it is 1 to {MAX_BLOCKS}", node.location)
        raise _Found(int(cores))
