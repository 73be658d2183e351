"""Several processes that train together on the CPU, started as msrun would start them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PRETRAIN = (sys.executable, "-m", "bert_thor.cli", "pretrain")


class Ranks:
    """A scheduler and `ranks` workers that run the same command; rank i writes `rank-i.log` in `folder`."""

    def __init__(self, ranks: int, folder: Path, command: Sequence[str]) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        cluster = {"MS_WORKER_NUM": str(ranks), "MS_SCHED_HOST": "127.0.0.1", "MS_SCHED_PORT": str(port)}
        common = {**os.environ, **cluster, "OMP_NUM_THREADS": "1", "GLOG_v": "3", "MS_TOPO_TIMEOUT": "90"}
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

    def wait(self, timeout: float) -> list[int]:
        """Exit statuses of the workers; raises `subprocess.TimeoutExpired`."""
        return [process.wait(timeout) for process in self.workers]

    def log(self, rank: int) -> str:
        """All that the rank has printed."""
        return (self.folder / f"rank-{rank}.log").read_text(encoding="utf-8")

    def _start(self, name: str, command: Sequence[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with open(self.folder / f"{name}.log", "wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, env=environment)
