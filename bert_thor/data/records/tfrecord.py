"""TFRecord files: framing, checksums, and the writer.

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

from bert_thor.data.errors import RecordError

HEADER_BYTES = 12  # length and its checksum
FOOTER_BYTES = 4  # checksum of the data
_WRITE_BYTES = 1 << 20
_UINT32 = 0xFFFFFFFF


def masked_crc(data: bytes) -> int:
    """Masked CRC-32C (Castagnoli) of `data`, as TFRecord stores it."""
    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & _UINT32


def frame(data: bytes) -> bytes:
    """One record: `data` between its header and its footer."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, struct.pack("<I", masked_crc(length)), data, struct.pack("<I", masked_crc(data))))


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


class RecordWriter:
    """Writes records to a new file; the context manager syncs it to the disk before it closes it.

    Errors: FileExistsError if `path` exists; OSError (no space left, read-only) from the operating system.
    """

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = open(path, "xb", buffering=_WRITE_BYTES)  # noqa: SIM115 - closed in __exit__

    def write(self, data: bytes) -> None:
        """Append one record."""
        self._file.write(frame(data))

    def write_framed(self, record: bytes) -> None:
        """Append one record that has its header and footer already."""
        self._file.write(record)

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        with self._file:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
