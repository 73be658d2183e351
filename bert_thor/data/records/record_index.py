"""Where each record of a TFRecord file ends: found by walking over the file, and kept for large files from run to run.

The walk goes from header to header at about 1 GB/s or a million records per second, whichever is slower. MLPerf's 391 GB would
take minutes at every start, so the index of a file of 64 MiB or more is stored in $XDG_CACHE_HOME/bert_thor/record_index
(default: ~/.cache), under a name made of the file's path, size and time. A lock per file lets the processes of one machine share
the work. A wrong index cannot give wrong rows: every record that is read through it has its checksums verified.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Optional

import numpy as np
import numpy.typing as npt

from bert_thor.data.errors import RecordError
from bert_thor.data.records.cache import cache_folder, exclusive
from bert_thor.data.records.tfrecord import FOOTER_BYTES, HEADER_BYTES, check_header

Offsets = npt.NDArray[np.int64]
Index = tuple[Offsets, Optional[RecordError]]

_SCAN_BYTES = 1 << 20
_SMALLEST_STORED_FILE = 1 << 26  # bytes; a smaller file is walked over in less than a tenth of a second


def record_ends(path: Path, descriptor: int) -> Index:
    """Byte offset of the end of every record, up to the end of the file or the first damage, and that damage.

    Errors: OSError if the file cannot be read.
    """
    status = os.fstat(descriptor)
    if status.st_size < _SMALLEST_STORED_FILE:
        return scan(descriptor, str(path))
    key = f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
    stored = cache_folder("record_index") / (hashlib.sha256(key.encode()).hexdigest() + ".npy")
    with exclusive(stored):
        found = _load(stored, status.st_size)
        if found is not None:
            return found, None
        ends, damage = scan(descriptor, str(path))
        if damage is None:
            _store(stored, ends)
    return ends, damage


def _load(stored: Path, size: int) -> Optional[Offsets]:
    """The stored index, mapped into memory so that processes share it; None if it is missing or damaged."""
    try:
        ends = np.load(stored, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    whole = ends.dtype == np.int64 and ends.ndim == 1 and len(ends) > 0 and ends[-1] == size
    return ends if whole else None


def _store(stored: Path, ends: Offsets) -> None:
    """Store an index whole or not at all; a cache that cannot be written is no error."""
    partial = stored.with_suffix(".partial.npy")
    with suppress(OSError):
        np.save(partial, ends, allow_pickle=False)
        os.replace(partial, stored)


def scan(descriptor: int, file: str) -> tuple[Offsets, Optional[RecordError]]:
    """Byte offset of the end of every record, up to the end of the file or the first damage.

    Walks from header to header and reads the file in large blocks.
    """
    size = os.fstat(descriptor).st_size
    ends: list[int] = []
    position, block, block_start = 0, b"", 0
    try:
        while position < size:
            if position + HEADER_BYTES > block_start + len(block):
                block, block_start = os.pread(descriptor, _SCAN_BYTES, position), position
            offset = position - block_start
            position = _record_end(block[offset : offset + HEADER_BYTES], position, size, file, len(ends))
            ends.append(position)
    except RecordError as error:
        return np.array(ends, np.int64), error
    return np.array(ends, np.int64), None


def _record_end(header: bytes, position: int, size: int, file: str, record: int) -> int:
    if len(header) < HEADER_BYTES:
        raise RecordError(file, record, f"the file is truncated: {len(header)} of {HEADER_BYTES} header bytes are left")
    length = check_header(header, file, record)
    end = position + HEADER_BYTES + length + FOOTER_BYTES
    if end > size:
        raise RecordError(
            file, record, f"its length of {length} bytes reaches {end - size} bytes beyond the end of the file"
        )
    return end
