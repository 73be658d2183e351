"""Where a run stands, and the line that says so."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np


@dataclass
class Progress:
    """Where a run stands: all that a resumed run needs beside the parameters."""

    step: int = 0
    samples: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0
    failed_blocks: int = 0


class LogLine:
    """The log line of the original: loss, seconds since the last line, and seconds per step."""

    def __init__(self, step: int) -> None:
        self.step, self.time = step, perf_counter()

    def print(self, epoch: int, step: int, loss: float) -> None:
        """Print the line of `step`."""
        now = perf_counter()
        total = now - self.time
        outputs = np.array([loss], np.float32)
        average = total / (step - self.step)
        print(
            f"epoch: {epoch}, step: {step}, outputs are {outputs}, total_time_span is {total}, step_time_span is {average}",
            flush=True,
        )
        self.step, self.time = step, now
