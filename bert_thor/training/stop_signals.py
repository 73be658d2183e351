"""Ctrl-C and SIGTERM, which end a run after the running step."""

from __future__ import annotations

import os
import signal
from types import FrameType


class StopSignals:
    """Within, SIGINT and SIGTERM ask the run to end after the running step; the second one ends it at once, with its last checkpoint."""

    def __init__(self) -> None:
        self.received: int | None = None
        """Number of the signal that came."""

    def __enter__(self) -> None:
        self._before = {number: signal.signal(number, self._receive) for number in (signal.SIGINT, signal.SIGTERM)}

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = number
        os.write(2, b"\nstopping after this step; once more to stop now and lose the steps since the last checkpoint\n")
