"""Thread counts have to be known before the libraries load: a program starts itself again with them in the environment."""

from __future__ import annotations

import os
import sys


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


def ensure(threads: int) -> None:
    """Return if this process has these variables, else start the program again with them."""
    wanted = variables(threads)
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **wanted})
