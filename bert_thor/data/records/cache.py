"""The user's cache folder, which processes share."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder(name: str) -> Path:
    """$XDG_CACHE_HOME/bert_thor/NAME; by default in ~/.cache, and for a user without a home in the folder for temporary files."""
    return Path(os.environ.get("XDG_CACHE_HOME") or _default(), "bert_thor", name)


def _default() -> Path:
    try:
        return Path.home() / ".cache"
    except RuntimeError:  # containers run as users that no list knows
        return Path(tempfile.gettempdir(), f"cache-{os.getuid()}")


@contextmanager
def exclusive(stored: Path) -> Iterator[None]:
    """Hold the lock of a file in the cache; where the cache cannot be written there is nothing to guard."""
    try:
        stored.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(stored.with_suffix(".lock"), os.O_WRONLY | os.O_CREAT, 0o600)
    except OSError:
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
