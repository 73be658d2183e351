"""A port for the scheduler of processes that train together on one machine: `python -m bert_thor.parallel.free_port` prints it."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

PORTS = range(20000, 32000)
"""Below 32768, where Linux begins to give out ports by itself: seconds pass until the scheduler listens, and a port from there could by
then belong to any connection on the machine, even to a worker that tries to reach the scheduler (a TCP socket may connect to itself)."""


def free_port() -> int:
    """One of `PORTS` by chance that no socket has. Raises `OSError` if there is none."""
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(f"no port from {PORTS.start} to {PORTS.stop - 1} is free: end a program that listens there")


if __name__ == "__main__":
    print(free_port())
