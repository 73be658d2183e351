"""What the harnesses share: no threads before a fork, and a folder where syncing costs nothing. Import it first."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # NumPy would start threads when it is imported

_MEMORY = Path("/dev/shm")


@contextmanager
def folder_in_memory(otherwise: Path) -> Iterator[Path]:
    """A new folder in memory, removed afterwards; below `otherwise` on a machine without such a place."""
    folder = Path(tempfile.mkdtemp(prefix="bert-thor-", dir=_MEMORY if _MEMORY.is_dir() else otherwise))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
