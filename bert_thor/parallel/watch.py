"""No rank is left waiting for one that failed."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from types import TracebackType

from bert_thor.errors import ConfigError
from bert_thor.parallel.world import World, limited_wait

WATCH_SECONDS = 1.0
"""Time between two looks at the other ranks."""
FINISHED = b"finished\n"


class RankWatch:
    """Ends this process within seconds when another rank has failed, instead of waiting in a collective for ever.

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
            failed = [rank for rank in range(self.world.ranks) if rank != self.world.rank and self._failed(rank)]
            if failed and not self._stop.is_set():
                names = ", ".join(str(rank) for rank in failed)
                print(
                    f"error: rank {names} of {self.world.ranks} has failed, so rank {self.world.rank} stops too: "
                    "the log of the failed rank says why; continue with --resume",
                    file=sys.stderr,
                    flush=True,
                )
                os._exit(1)  # the main thread sits in a collective that never returns

    def _failed(self, rank: int) -> bool:
        """Whether the process that holds the lock has ended without a word."""
        descriptor = os.open(self._files[rank], os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return os.pread(descriptor, len(FINISHED), 0) != FINISHED
        except OSError:
            return False  # locked: alive
        finally:
            os.close(descriptor)
