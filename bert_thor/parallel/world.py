"""The processes that train together: how many there are, which one this is, and how they find each other.

One process per device, started by msrun (`MS_ROLE`, `MS_WORKER_NUM`, ...) or with a rank table (`RANK_TABLE_FILE`, `RANK_SIZE`, `RANK_ID`,
`DEVICE_ID`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from bert_thor.compat import answer_last
from bert_thor.errors import ConfigError

CONNECT_SECONDS = 600
"""Time for all processes to find each other; MindSpore's environment variable MS_TOPO_TIMEOUT gives another."""


@dataclass(frozen=True)
class World:
    """This process is number `rank` of `ranks`."""

    rank: int = 0
    ranks: int = 1

    @property
    def writes(self) -> bool:
        """Whether this process writes checkpoints, metrics and configuration: one of them does."""
        return self.rank == 0


def launched_ranks(environment: Mapping[str, str] = os.environ) -> int:
    """How many processes the launcher starts, read from its environment variables: known before any connection is made."""
    name = "MS_WORKER_NUM" if "MS_ROLE" in environment else "RANK_SIZE"
    if name == "RANK_SIZE" and not environment.get("RANK_TABLE_FILE"):
        return 1
    value = environment.get(name, "1")
    if not value.isdigit() or int(value) < 1:
        raise ConfigError(
            f"the environment variable {name} is {value!r}: it must be the number of processes, 1 or more"
        )
    return int(value)


def join_world(environment: Mapping[str, str] = os.environ) -> World:
    """Connect to the other processes and wait until all are there. Does not return in msrun's scheduler process.

    Call it after the device was chosen and before the first operator. A single process that no launcher started connects to nobody.
    A worker that has not found the others in time is ended with a sentence; the scheduler gives up by MindSpore's own limit.
    """
    if "MS_ROLE" not in environment and launched_ranks(environment) == 1:
        return World()
    from mindspore.communication import get_group_size, get_rank, init

    if environment.get("MS_ROLE") == "MS_SCHED":
        answer_last()
        init()  # returns early in MindSpore 2.0; in 2.10 it lasts as long as the training, so no limit may end it
        raise SystemExit(0)
    with limited_wait(environment):
        init()
    return World(get_rank(), get_group_size())


@contextmanager
def limited_wait(environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Within, end this process when the time to connect is over. A child does it: MindSpore lets no Python thread run while it waits."""
    seconds = environment.get("MS_TOPO_TIMEOUT", str(CONNECT_SECONDS))
    if not seconds.isdigit():
        raise ConfigError(f"the environment variable MS_TOPO_TIMEOUT is {seconds!r}: it must be a number of seconds")
    sentence = (
        f"error: the {launched_ranks(environment)} processes have not found each other within {seconds} s: see in the logs of all whether "
        "one has failed or waits at another address, and start them again"
    )
    watcher = subprocess.Popen(
        [sys.executable, "-ISc", _WATCHER, seconds, str(os.getpid()), sentence], stdin=subprocess.PIPE
    )
    try:
        yield
    finally:
        watcher.communicate()


_WATCHER = """
import os, select, sys
if not select.select([0], [], [], float(sys.argv[1]))[0]:  # the pipe closes when the other side is done, or ends
    print(sys.argv[3], file=sys.stderr, flush=True)
    os.kill(int(sys.argv[2]), 9)
"""
