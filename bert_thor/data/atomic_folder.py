"""A folder that appears whole or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Callable, Optional

from bert_thor.data.errors import DataError


@contextmanager
def atomic_folder(target: Path, worth_keeping: Optional[Callable[[Path], bool]] = None) -> Iterator[Path]:
    """Yield a temporary sibling of `target`; on success sync it and rename it to `target`, on any exception remove it.

    The sibling has a fixed hidden name and is locked while in use: what a killed process left is cleared by the next
    one, and two processes cannot write the same folder. `target` may exist if it is empty.

    With `worth_keeping` the next one finds what an earlier one left, and on an exception the sibling stays if the
    function says so of it.

    Errors: DataError if `target` is not an empty folder, or another process is writing it.
    """
    target = target.absolute()
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise DataError(f"the output {target} exists and is not an empty folder; name another one or remove it.")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    partial.mkdir(exist_ok=True)
    descriptor = os.open(partial, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(descriptor, target)
        try:
            if worth_keeping is None:
                clear(partial)
            yield partial
            _sync_tree(partial)
            os.rename(partial, target)
            _sync(target.parent)
        except BaseException:
            if worth_keeping is None or not worth_keeping(partial):
                shutil.rmtree(partial, ignore_errors=True)
            raise
    finally:
        os.close(descriptor)


def clear(folder: Path) -> None:
    """Remove everything in a folder."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _lock(descriptor: int, target: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DataError(f"another process is writing {target}; wait for it or name another output.") from None


def _sync_tree(folder: Path) -> None:
    for path, _, files in os.walk(folder):
        for name in files:
            _sync(Path(path, name))
        _sync(Path(path))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems cannot sync a folder
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
