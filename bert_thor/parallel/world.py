"""The processes that train together: who they are, that they agree, and that none of them is left waiting for a dead one.

One process per device, started by msrun (`MS_ROLE`, `MS_WORKER_NUM`, ...) or with a rank table (`RANK_TABLE_FILE`, `RANK_SIZE`, `RANK_ID`,
`DEVICE_ID`).
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from types import TracebackType

import numpy as np
from mindspore import Parameter

from bert_thor.compat import answer_last
from bert_thor.errors import ConfigError, TrainingError

CONNECT_SECONDS = 600
"""Time for all processes to find each other; MindSpore's environment variable MS_TOPO_TIMEOUT gives another."""
WATCH_SECONDS = 1.0
"""Time between two looks at the other ranks."""
FINISHED = b"finished\n"


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
if not select.select([0], [], [], float(sys.argv[1]))[0]:  # the pipe closes when the other side is done, or dies
    print(sys.argv[3], file=sys.stderr, flush=True)
    os.kill(int(sys.argv[2]), 9)
"""


def checksum(parameters: Sequence[Parameter]) -> int:
    """CRC-32 over the bytes of all parameters in their order."""
    value = 0
    for parameter in parameters:
        value = zlib.crc32(np.ascontiguousarray(parameter.asnumpy()).data, value)
    return value


class Agreement:
    """Compares the parameters of all ranks; also a barrier."""

    def __init__(self, world: World) -> None:
        from bert_thor.parallel.collectives import GatherNumbers

        self.world = world
        self.numbers = GatherNumbers(world) if world.ranks > 1 else None

    def wait(self) -> None:
        """Return when all ranks have come here."""
        if self.numbers is not None:
            self.numbers.gather(np.zeros(2))

    def check(self, parameters: Sequence[Parameter], step: int) -> None:
        """Raise `TrainingError` on every rank, naming those that differ from rank 0, unless all have the same bits."""
        if self.numbers is None:
            return
        value = checksum(parameters)
        halves = self.numbers.gather(np.array([value >> 16, value & 0xFFFF]))  # exact in float32
        different = [str(rank) for rank in range(self.world.ranks) if (halves[rank] != halves[0]).any()]
        if different:
            raise TrainingError(
                f"after step {step} the weights of rank {', '.join(different)} differ from those of rank 0: look for a faulty device "
                "or unequal installations, and continue with --resume from the last checkpoint"
            )


class RankWatch:
    """Ends this process within seconds when another rank has died, instead of waiting in a collective for ever.

    Each rank holds an exclusive lock on a file of its own in a folder that all see. The operating system releases the lock the moment the
    process ends, however it ends, even where its interpreter is busy compiling; a rank that ends in order writes so into its file first.
    A thread of every rank tries the others' locks.
    """

    def __init__(self, folder: Path, world: World) -> None:
        self.folder, self.world = folder, world
        self._files = [folder / f"rank-{rank:05d}.lock" for rank in range(world.ranks)]
        self._stop = Event()
        self._own: int | None = None

    def start(self, wait_for_all: Callable[[], None]) -> None:
        """Take this rank's lock, `wait_for_all`, and watch the others from then on."""
        if self.world.ranks == 1:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._own = os.open(self._files[self.world.rank], os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._own, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(
                f"{self._files[self.world.rank]} is locked: other processes are training in {self.folder.parent}, "
                "wait for them or choose another folder"
            ) from None
        os.truncate(self._own, 0)
        with limited_wait():
            wait_for_all()
        Thread(target=self._watch, name="rank-watch", daemon=True).start()

    def finish(self) -> None:
        """This rank ends in order, as all ranks do at this step: the others need not worry."""
        self._stop.set()
        if self._own is not None:
            os.pwrite(self._own, FINISHED, 0)

    def __enter__(self) -> RankWatch:
        """Within, an exception means that this rank has failed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave in order, unless by an exception."""
        if kind is None:
            self.finish()

    def _watch(self) -> None:
        while not self._stop.wait(WATCH_SECONDS):
            dead = [rank for rank in range(self.world.ranks) if rank != self.world.rank and self._died(rank)]
            if dead and not self._stop.is_set():
                names = ", ".join(str(rank) for rank in dead)
                print(
                    f"error: rank {names} of {self.world.ranks} has died, so rank {self.world.rank} stops too: "
                    "the log of the dead rank says why; continue with --resume",
                    file=sys.stderr,
                    flush=True,
                )
                os._exit(1)  # the main thread sits in a collective that never returns

    def _died(self, rank: int) -> bool:
        """Whether the process that holds the lock has ended without a word."""
        descriptor = os.open(self._files[rank], os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return os.pread(descriptor, len(FINISHED), 0) != FINISHED
        except OSError:
            return False  # locked: alive
        finally:
            os.close(descriptor)
