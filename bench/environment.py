"""Thread counts have to be known before the libraries load: a program starts itself again with them in the environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def variables(threads: int) -> dict[str, str]:
    """What makes every library use `threads` threads, and sleep rather than spin when it has nothing to do.

    Freed memory is kept: who allocates a result at every call, as the frameworks do, is not charged for page faults.
    """
    count = str(threads)
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "THOR_NUM_THREADS")
    waiting = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0", "OPENBLAS_THREAD_TIMEOUT": "4", "GLOG_v": "3"}
    waiting["MS_DEV_HOST_BLOCKING_RUN"] = "1"  # MindSpore's calling thread spins otherwise
    memory = dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(1 << 30))
    return {**dict.fromkeys(names, count), **waiting, **memory}


def ensure(threads: int, module: str) -> None:
    """Return if this process has these variables, else start `python -m module` again with them."""
    wanted = variables(threads)
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]], {**os.environ, **wanted})


def elsewhere(wanted: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process in another folder: these variables, and `python -m bench....` still finds this package.

    The checkout comes last on the path, so that its folders hide no module.
    """
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH", ""), str(ROOT))))
    return {**os.environ, **wanted, "PYTHONPATH": path}
