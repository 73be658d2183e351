"""What the harnesses share: no threads before a fork, and a folder where syncing costs nothing. Import it first."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # NumPy would start threads when it is imported
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from synthetic_data import prepare_small

from bert_thor.doctor.examination import cpu_name
from bert_thor.kernels.library import instruction_set

_MEMORY = Path("/dev/shm")


@contextmanager
def folder_in_memory(otherwise: Path) -> Iterator[Path]:
    """A new folder in memory, removed afterwards; below `otherwise` on a machine without such a place."""
    folder = Path(tempfile.mkdtemp(prefix="bert-thor-", dir=_MEMORY if _MEMORY.is_dir() else otherwise))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def prepare_in_child(folder: Path) -> Path:
    """`prepare_small` in a process of its own: it starts threads, and a process with threads must not fork."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            prepare_small(folder)
            status = 0
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1] != 0:
        raise SystemExit("the data could not be prepared")
    return folder / "data"


def machine() -> str:
    """What the last bit of a sum depends on."""
    return f"{cpu_name()}, {instruction_set().name.lower()}"
