"""Several processes that train together on the CPU, started as msrun would start them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bert_thor.parallel.free_port import free_port

PRETRAIN = (sys.executable, "-m", "bert_thor.cli", "pretrain")
CONNECT_SECONDS = 90
"""Time to find each other: MindSpore's cluster may lose a message and ask again after 30 s."""
FOLLOW_SECONDS = 30.0
"""Time for the others to end when one has failed; one that still waits to connect would stay for the whole of CONNECT_SECONDS."""


class Ranks:
    """A scheduler and `ranks` workers that run the same command; rank i writes `rank-i.log` in `folder`."""

    def __init__(
        self, ranks: int, folder: Path, command: Sequence[str], connect_seconds: int = CONNECT_SECONDS
    ) -> None:
        self.folder = folder
        cluster = {"MS_WORKER_NUM": str(ranks), "MS_SCHED_HOST": "127.0.0.1", "MS_SCHED_PORT": str(free_port())}
        limits = {"OMP_NUM_THREADS": "1", "GLOG_v": "3", "MS_TOPO_TIMEOUT": str(connect_seconds)}
        common = {**os.environ, **cluster, **limits}
        self.scheduler = self._start("scheduler", command, {**common, "MS_ROLE": "MS_SCHED"})
        self.workers = [
            self._start(f"rank-{rank}", command, {**common, "MS_ROLE": "MS_WORKER", "MS_NODE_ID": str(rank)})
            for rank in range(ranks)
        ]

    def __enter__(self) -> Ranks:
        return self

    def __exit__(self, *exception: object) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()

    def wait(self, timeout: float, follow: float = FOLLOW_SECONDS) -> list[int]:
        """Exit statuses of the workers; those that run for `timeout` seconds, or for `follow` more when one has failed, are killed."""
        deadline, failed = time.monotonic() + timeout, False
        while None in (statuses := [process.poll() for process in self.workers]) and time.monotonic() < deadline:
            if any(statuses) and not failed:
                deadline, failed = min(deadline, time.monotonic() + follow), True
            time.sleep(0.05)
        for process in self.workers:
            process.kill()  # does nothing to those that have ended
        return [process.wait() for process in self.workers]

    def log(self, rank: int) -> str:
        """All that the rank has printed."""
        return (self.folder / f"rank-{rank}.log").read_text(encoding="utf-8")

    def _start(self, name: str, command: Sequence[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with open(self.folder / f"{name}.log", "wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, env=environment)
