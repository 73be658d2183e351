"""Random access to the records of a TFRecord file."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from weakref import finalize

from rich.progress import track

from bert_thor.data.errors import DataError, RecordError
from bert_thor.data.records.record_index import record_ends
from bert_thor.data.records.tfrecord import FOOTER_BYTES, HEADER_BYTES, check_header, masked_crc

_LARGE_DATA = 1 << 32  # bytes; from here on indexing may take long enough to show a progress bar


def open_files(paths: Sequence[Path], skip_damaged: bool = False) -> list[RecordFile]:
    """Open many files, in the order given; processes start at different files, so that they share the work of indexing."""
    first = os.getpid() % len(paths)
    turned = [*paths[first:], *paths[:first]]
    large = sum(path.stat().st_size for path in paths if path.exists()) >= _LARGE_DATA
    shown = track(turned, "indexing records", transient=True) if large else turned
    files = [RecordFile(path, skip_damaged) for path in shown]
    return files[len(paths) - first :] + files[: len(paths) - first]


class RecordFile:
    """Random access to the records of one file, every checksum verified.

    Reads use `pread`, not a memory map: a file that shrinks meanwhile gives an error, not a SIGBUS.

    Attributes:
        path: the file.
        damage: None, or why the records from `damage.record` on cannot be found (only with `skip_damaged`).

    Errors: DataError if the file cannot be read; RecordError, unless `skip_damaged`, for a header with a wrong
    checksum, a length that reaches beyond the end of the file, or a truncated last record; `read` raises RecordError
    for data with a wrong checksum.
    """

    def __init__(self, path: Path, skip_damaged: bool = False) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise DataError(f"cannot open the TFRecord file {path}: {error.strerror}.") from None
        self._release = finalize(self, os.close, self._descriptor)
        try:
            self._ends, self.damage = record_ends(path, self._descriptor)
        except OSError as error:
            raise DataError(f"cannot read the TFRecord file {path}: {error.strerror}.") from None
        if self.damage is not None and not skip_damaged:
            raise self.damage

    def __len__(self) -> int:
        return len(self._ends)

    def read(self, record: int) -> bytes:
        """The data of record number `record` (from 0)."""
        start = int(self._ends[record - 1]) if record else 0
        size = int(self._ends[record]) - start
        try:
            block = os.pread(self._descriptor, size, start)
        except OSError as error:
            raise RecordError(str(self.path), record, f"it cannot be read: {error.strerror}") from None
        if len(block) != size:
            raise RecordError(
                str(self.path), record, f"the file ends {size - len(block)} bytes early; it changed while it was read"
            )
        data = block[HEADER_BYTES:-FOOTER_BYTES]
        if check_header(block[:HEADER_BYTES], str(self.path), record) != len(data):
            raise RecordError(str(self.path), record, "its length has changed since the file was opened")
        if masked_crc(data) != struct.unpack("<I", block[-FOOTER_BYTES:])[0]:
            raise RecordError(str(self.path), record, "the checksum of the data does not match; the file is damaged")
        return data

    def close(self) -> None:
        """Release the file; `read` must not be called afterwards."""
        self._release()
        self._descriptor = -1
