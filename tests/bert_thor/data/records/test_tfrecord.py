"""The file format: what is written is read again, and every damage is refused with file, record and reason."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable
from pathlib import Path

import google_crc32c
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_rows import features, read_rows, write_records

from bert_thor.data.errors import DataError, RecordError
from bert_thor.data.records.example import encode_example
from bert_thor.data.records.record_file import RecordFile
from bert_thor.data.records.tfrecord import FOOTER_BYTES, HEADER_BYTES, RecordWriter, frame, masked_crc


def test_the_checksum_is_the_published_one() -> None:
    """RFC 3720, B.4: CRC-32C of 32 zero bytes; masked as TensorFlow's crc32c.h says."""
    assert google_crc32c.value(bytes(32)) == 0x8A9136AA
    crc = 0x8A9136AA
    assert masked_crc(bytes(32)) == (((crc >> 15) | (crc << 17) & 0xFFFFFFFF) + 0xA282EAD8) % 2**32


@settings(deadline=None, max_examples=50)
@given(st.lists(st.binary(max_size=300), max_size=20), st.randoms(use_true_random=False))
def test_records_are_read_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, records: list[bytes], random: object
) -> None:
    file = RecordFile(write_records(tmp_path_factory.mktemp("records") / "r", records))
    assert len(file) == len(records)
    order = list(range(len(records)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert [file.read(number) for number in order] == [records[number] for number in order]


def test_the_index_does_not_depend_on_the_size_of_the_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [os.urandom(size) for size in (0, 1, 15, 16, 17, 100, 0, 31)]
    path = write_records(tmp_path / "r", records)
    for size in range(HEADER_BYTES, 64):
        monkeypatch.setattr("bert_thor.data.records.record_index._SCAN_BYTES", size)
        file = RecordFile(path)
        assert [file.read(number) for number in range(len(file))] == records


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    write_records(tmp_path / "r", [b"x"])
    with pytest.raises(FileExistsError):
        RecordWriter(tmp_path / "r")


def test_a_file_that_is_missing_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot open the TFRecord file .*: No such file"):
        RecordFile(tmp_path / "none")


def test_a_disk_that_fails_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = RecordFile(write_records(tmp_path / "r", [b"first", b"second"]))

    def fail(descriptor: int, size: int, place: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(RecordError, match="record 1: it cannot be read: Input/output error"):
        file.read(1)
    with pytest.raises(DataError, match=r"cannot read the TFRecord file .*: Input/output error"):
        RecordFile(tmp_path / "r")


def at(place: int, byte: int) -> Callable[[bytes], bytes]:
    """Flip bits of one byte of the second of three records' frames."""

    def damage(content: bytes) -> bytes:
        size = len(content) // 3
        where = size + (place if place >= 0 else size + place)
        return content[:where] + bytes((content[where] ^ byte,)) + content[where + 1 :]

    return damage


def length_field(value: int, valid_checksum: bool) -> Callable[[bytes], bytes]:
    def damage(content: bytes) -> bytes:
        size = len(content) // 3
        length = struct.pack("<Q", value)
        checksum = struct.pack("<I", masked_crc(length)) if valid_checksum else content[size + 8 : size + 12]
        return content[:size] + length + checksum + content[size + 12 :]

    return damage


FRAME_DAMAGE = {
    "length, low bit": (at(0, 1), 1, "the checksum of the length field does not match"),
    "length, high bit": (at(7, 0x80), 1, "the checksum of the length field does not match"),
    "checksum of the length": (at(8, 4), 1, "the checksum of the length field does not match"),
    "data, first byte": (at(HEADER_BYTES, 0x10), 1, "the checksum of the data does not match"),
    "data, last byte": (at(-FOOTER_BYTES - 1, 1), 1, "the checksum of the data does not match"),
    "checksum of the data": (at(-1, 0x40), 1, "the checksum of the data does not match"),
    "length beyond the file": (length_field(10**6, True), 1, "beyond the end of the file"),
    "length of 2^64 - 1": (length_field(2**64 - 1, True), 1, "beyond the end of the file"),
    "length too small": (length_field(5, True), 2, "the checksum of the length field does not match"),
    "length without its checksum": (length_field(5, False), 1, "the checksum of the length field does not match"),
    "last byte missing": (lambda content: content[:-1], 2, "1 bytes beyond the end of the file"),
    "cut inside a header": (lambda content: content[: -len(content) // 3 + 5], 2, "truncated: 5 of 12 header bytes"),
    "text file": (lambda content: b"This is not a TFRecord file.", 0, "this is not a TFRecord file"),
}


@pytest.mark.parametrize("kind", FRAME_DAMAGE)
def test_a_damaged_frame_is_refused(kind: str, tmp_path: Path) -> None:
    damage, record, reason = FRAME_DAMAGE[kind]
    path = tmp_path / "part-00000.tfrecord"
    path.write_bytes(damage(frame(encode_example(features())) * 3))
    with pytest.raises(RecordError, match=reason) as refusal:
        read_rows(path)
    assert refusal.value.file == str(path)
    assert refusal.value.record == record
    assert str(refusal.value).startswith(f"{path}: record {record}: ")


def test_every_single_flipped_bit_is_noticed(tmp_path: Path) -> None:
    content = frame(encode_example(features()))
    path = tmp_path / "r"
    path.write_bytes(content)
    read_rows(path)
    for bit in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(RecordError):
            read_rows(path)


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    content = frame(encode_example(features()))
    path = tmp_path / "r"
    for size in range(1, len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(RecordError, match="record 0: "):
            read_rows(path)


def test_a_file_that_shrinks_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    path = write_records(tmp_path / "r", [b"first", b"second"])
    file = RecordFile(path)
    os.truncate(path, path.stat().st_size - 3)
    assert file.read(0) == b"first"
    with pytest.raises(RecordError, match="record 1: the file ends 3 bytes early"):
        file.read(1)
