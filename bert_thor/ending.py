"""The end of a process."""

from __future__ import annotations

import atexit
import os
import sys
from typing import NoReturn


def end_process(status: int) -> NoReturn:
    """Exit with `status`."""
    end_before_mindspore(status)
    sys.exit(status)


def end_before_mindspore(status: int) -> None:
    """Where MindSpore is loaded, exit before its libraries take themselves apart: now and then they crash then, after a good run."""
    if "mindspore" not in sys.modules:
        return
    atexit._run_exitfuncs()  # leaves the cluster, among others
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)
