"""TFRecord files: framing and checksums, written, indexed and read at random positions.

A file is a sequence of records (TensorFlow, "TFRecord and tf.train.Example", and
tensorflow/core/lib/io/record_writer.h):

    uint64 length | uint32 masked CRC-32C of the length | length bytes | uint32 masked CRC-32C of those bytes
    (little endian)

where masked(c) = rotate_right(c, 15) + 0xa282ead8 (mod 2^32). Both checksums are verified whenever a record is read.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Optional

import google_crc32c
import numpy as np
import numpy.typing as npt

from bert_thor.data.errors import DataError, RecordError

HEADER_BYTES = 12  # length and its checksum
FOOTER_BYTES = 4  # checksum of the data
_SCAN_BYTES = 1 << 20  # the index is built from blocks of this size
_UINT32 = 0xFFFFFFFF

Offsets = npt.NDArray[np.int64]


def masked_crc(data: bytes) -> int:
    """Masked CRC-32C (Castagnoli) of `data`, as TFRecord stores it."""
    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & _UINT32


def frame(data: bytes) -> bytes:
    """One record: `data` between its header and its footer."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, struct.pack("<I", masked_crc(length)), data, struct.pack("<I", masked_crc(data))))


class RecordWriter:
    """Writes records to a new file; the context manager syncs it to the disk before it closes it.

    Errors: FileExistsError if `path` exists; OSError (no space left, read-only) from the operating system.
    """

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = open(path, "xb", buffering=_SCAN_BYTES)  # noqa: SIM115 - closed in __exit__

    def write(self, data: bytes) -> None:
        """Append one record."""
        self._file.write(frame(data))

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        with self._file:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())


class RecordFile:
    """Random access to the records of one file, every checksum verified.

    Opening walks over the headers once (about 1 GB/s, 1.5 million records/s) and keeps one offset per record. Reads
    use `pread`, not a memory map: a file that shrinks meanwhile gives an error, not a SIGBUS.

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
        try:
            self._ends, self.damage = scan(self._descriptor, str(path))
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
        block = os.pread(self._descriptor, size, start)
        if len(block) != size:
            raise RecordError(
                str(self.path), record, f"the file ends {size - len(block)} bytes early; it changed while it was read"
            )
        data = block[HEADER_BYTES:-FOOTER_BYTES]
        check_header(block[:HEADER_BYTES], str(self.path), record)
        if masked_crc(data) != struct.unpack("<I", block[-FOOTER_BYTES:])[0]:
            raise RecordError(str(self.path), record, "the checksum of the data does not match; the file is damaged")
        return data

    def close(self) -> None:
        """Release the file; `read` must not be called afterwards."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        if getattr(self, "_descriptor", -1) >= 0:
            self.close()


def check_header(header: bytes, file: str, record: int) -> int:
    """Length of the data that follows `header` (12 bytes); RecordError if its checksum does not match."""
    if masked_crc(header[:8]) != struct.unpack("<I", header[8:])[0]:
        raise RecordError(
            file,
            record,
            "the checksum of the length field does not match; this is not a TFRecord file or it is damaged",
        )
    length: int = struct.unpack("<Q", header[:8])[0]
    return length


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
