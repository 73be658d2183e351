"""What a file holds, by its first bytes; and files that are packed with gzip."""

from __future__ import annotations

import enum
import gzip
import hashlib
import os
import shutil
import zlib
from pathlib import Path

from bert_thor.data.errors import DataError, RecordError
from bert_thor.data.records.cache import cache_folder, exclusive
from bert_thor.data.records.tfrecord import HEADER_BYTES, check_header

_GZIP = b"\x1f\x8b"
_FIRST_BYTES = 256


class Content(enum.Enum):
    """What the first bytes say."""

    RECORDS = enum.auto()  # a record's length with the right checksum
    TEXT = enum.auto()  # ASCII without control characters: a checksum, a list, a log
    OTHER = enum.auto()


def look_at(path: Path) -> Content:
    """What a file holds; of one that is packed with gzip, what is in it. Errors: DataError if it cannot be read."""
    try:
        first = _first_bytes(path)
    except OSError as error:
        raise DataError(f"cannot open the TFRecord file {path}: {error.strerror or error}.") from None
    if len(first) >= HEADER_BYTES and _is_header(first[:HEADER_BYTES], path):
        return Content.RECORDS
    text = first.decode("latin-1")
    return (
        Content.TEXT if text and text.isascii() and all(c.isprintable() or c.isspace() for c in text) else Content.OTHER
    )


def unpacked(path: Path) -> Path:
    """The file itself, or an unpacked copy in the cache if it is packed with gzip: rows are read in any order, which gzip does not allow.

    The copy lies in $XDG_CACHE_HOME/bert_thor/records (default: ~/.cache) under a name made of path, size and time.

    Errors: DataError if the file is damaged or the cache cannot be written.
    """
    try:
        with open(path, "rb") as file:
            if file.read(len(_GZIP)) != _GZIP:
                return path
        status = path.stat()
    except OSError as error:
        raise DataError(f"cannot open the TFRecord file {path}: {error.strerror}.") from None
    key = f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
    target = cache_folder("records") / (hashlib.sha256(key.encode()).hexdigest() + ".tfrecord")
    with exclusive(target):
        if not target.exists():
            _unpack(path, target)
    return target


def _unpack(path: Path, target: Path) -> None:
    partial = target.with_suffix(".partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(path) as source, open(partial, "wb") as output:
            shutil.copyfileobj(source, output, 1 << 20)
        os.replace(partial, target)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        partial.unlink(missing_ok=True)
        raise DataError(f"{path}: this gzip file is damaged or incomplete: {error}.") from None
    except OSError as error:
        raise DataError(
            f"cannot unpack {path} to {target}: {error.strerror or error}; unpack it with gunzip, or set XDG_CACHE_HOME to a "
            "folder with room."
        ) from None


def _first_bytes(path: Path) -> bytes:
    with open(path, "rb") as file:
        first = file.read(_FIRST_BYTES)
    if not first.startswith(_GZIP):
        return first
    try:
        with gzip.open(path) as packed:
            return packed.read(_FIRST_BYTES)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return first


def _is_header(header: bytes, path: Path) -> bool:
    try:
        check_header(header, str(path), 0)
    except RecordError:
        return False
    return True
