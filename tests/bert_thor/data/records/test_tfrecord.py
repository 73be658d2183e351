"""The file format: what is written is read again, and every damage is refused with file, record and reason."""

from __future__ import annotations

import errno
import os
import re
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Union

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_thor.data.batches.rows import Rows
from bert_thor.data.errors import DataError, RecordError
from bert_thor.data.records.example import Decoder, RowError, encode_example
from bert_thor.data.records.folder import DataFolder
from bert_thor.data.records.record_file import RecordFile
from bert_thor.data.records.schema import Schema
from bert_thor.data.records.tfrecord import FOOTER_BYTES, HEADER_BYTES, RecordWriter, frame, masked_crc

SCHEMA = Schema(max_seq_length=8, max_predictions_per_seq=2)
VOCAB_SIZE = 40_000
Features = dict[str, Union[Sequence[int], "np.ndarray[tuple[int], np.dtype[np.float32]]"]]


def features() -> Features:
    """A sound row of SCHEMA."""
    return {
        "input_ids": [101, 7, 20_000, 102, 39_999, 102, 0, 0],
        "input_mask": [1, 1, 1, 1, 1, 1, 0, 0],
        "segment_ids": [0, 0, 0, 0, 1, 1, 0, 0],
        "masked_lm_positions": [2, 0],
        "masked_lm_ids": [300, 0],
        "masked_lm_weights": np.array([1, 0], np.float32),
        "next_sentence_labels": [1],
    }


def write_records(path: Path, records: Sequence[bytes]) -> Path:
    with RecordWriter(path) as writer:
        for record in records:
            writer.write(record)
    return path


def read_rows(path: Path) -> Rows:
    rows = Rows(DataFolder(path, (path,), SCHEMA, None), VOCAB_SIZE)
    rows.read(np.arange(len(rows)))
    return rows


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


def replaced(name: str, values: object) -> bytes:
    return encode_example({**features(), name: values})  # type: ignore[dict-item]


def without(name: str) -> bytes:
    return encode_example({key: values for key, values in features().items() if key != name})


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


EXAMPLE_DAMAGE = {
    "empty record": (b"", "feature input_ids is missing"),
    "unfinished tag": (b"\xff", "not a tf.train.Example: unfinished number"),
    "message beyond the record": (b"\x0a\x7f\x00", "not a tf.train.Example: field 1 at byte 2 reaches beyond the end"),
    "endless number": (b"\x08" + b"\x80" * 20, "not a tf.train.Example: unfinished number"),
    "group": (b"\x0b", "not a tf.train.Example: wire type 3"),
    "field 0": (b"\x02\x00", "not a tf.train.Example: field 0"),
    "random bytes": (bytes(range(7, 200)), "not a tf.train.Example|is missing"),
    "feature missing": (without("masked_lm_ids"), "feature masked_lm_ids is missing"),
    "feature twice": (encode_example(features()) * 2, "feature input_ids occurs twice"),
    "floats for integers": (
        replaced("input_ids", np.zeros(8, np.float32)),
        "input_ids is a list of type float, expected int64",
    ),
    "integers for floats": (
        replaced("masked_lm_weights", [1, 0]),
        "masked_lm_weights is a list of type int64, expected float32",
    ),
    "too short": (replaced("input_mask", [1] * 7), "feature input_mask has 7 values, expected 8"),
    "too long": (replaced("segment_ids", [0] * 9), "feature segment_ids has 9 values, expected 8"),
    "empty list": (replaced("next_sentence_labels", []), "feature next_sentence_labels has 0 values, expected 1"),
    "weights too short": (
        replaced("masked_lm_weights", np.zeros(1, np.float32)),
        "masked_lm_weights has 1 values, expected 2",
    ),
    "token outside the vocabulary": (
        replaced("input_ids", [101, 7, 40_000, 102, 1, 102, 0, 0]),
        r"input_ids\[2\] is 40000, expected 0 to 39999",
    ),
    "negative token": (
        replaced("input_ids", [101, 7, -1, 102, 1, 102, 0, 0]),
        r"input_ids\[2\] is -1, expected 0 to 39999",
    ),
    "token of 64 bits": (replaced("input_ids", [2**32 + 5] * 8), r"input_ids\[0\] is 4294967301, expected"),
    "label outside the vocabulary": (replaced("masked_lm_ids", [40_000, 0]), r"masked_lm_ids\[0\] is 40000"),
    "position outside the sequence": (
        replaced("masked_lm_positions", [8, 0]),
        r"masked_lm_positions\[0\] is 8, expected 0 to 7",
    ),
    "position in the padding": (
        replaced("masked_lm_positions", [6, 0]),
        "masked_lm_positions names a place in the padding",
    ),
    "mask of 2": (replaced("input_mask", [2] + [1] * 7), r"input_mask\[0\] is 2, expected 0 to 1"),
    "segment of 2": (replaced("segment_ids", [2] + [1] * 7), r"segment_ids\[0\] is 2, expected 0 to 1"),
    "next sentence label of 2": (replaced("next_sentence_labels", [2]), r"next_sentence_labels\[0\] is 2"),
    "negative weight": (replaced("masked_lm_weights", np.array([-1, 0], np.float32)), "negative or not finite"),
    "weight not a number": (replaced("masked_lm_weights", np.array([np.nan, 0], np.float32)), "negative or not finite"),
    "infinite weight": (replaced("masked_lm_weights", np.array([np.inf, 0], np.float32)), "negative or not finite"),
}


@pytest.mark.parametrize("kind", EXAMPLE_DAMAGE)
def test_an_unsuitable_record_is_refused(kind: str, tmp_path: Path) -> None:
    record, reason = EXAMPLE_DAMAGE[kind]
    sound = encode_example(features())
    path = write_records(tmp_path / "part-00000.tfrecord", [sound, sound, record, sound])
    with pytest.raises(RecordError, match=f"{re.escape(str(path))}: record 2: .*({reason})"):
        read_rows(path)


def varint(value: int) -> bytes:
    encoded = b""
    while value >= 0x80:
        encoded += bytes((value & 0x7F | 0x80,))
        value >>= 7
    return encoded + bytes((value,))


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def entry(name: str, kind: int, content: bytes) -> bytes:
    return field(1, field(1, name.encode()) + field(2, field(kind, content)))


def test_other_encodings_of_the_same_message_are_read() -> None:
    """Features in another order, lists not packed or in pieces, unknown fields and features: all legal protobuf."""
    row = features()
    parts = []
    for name in reversed(list(row)):
        values = row[name]
        if isinstance(values, np.ndarray):
            parts.append(entry(name, 2, b"".join(b"\x0d" + struct.pack("<f", value) for value in values)))
        elif len(values) > 2:
            half = len(values) // 2
            packed = [field(1, b"".join(varint(value) for value in part)) for part in (values[:half], values[half:])]
            parts.append(entry(name, 3, b"".join(packed)))
        else:
            parts.append(entry(name, 3, b"".join(b"\x08" + varint(value) for value in values)))
    parts.append(entry("another feature", 1, field(1, b"bytes")))
    unknown = b"\x10\x05" + b"\x19" + bytes(8) + b"\x25" + bytes(4) + field(9, b"?")
    decoder = Decoder(SCHEMA, VOCAB_SIZE)
    expected = decoder.decode([encode_example(row)])
    for found, wanted in zip(decoder.decode([unknown + field(1, b"".join(parts) + unknown)]), expected):
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == wanted.dtype


@pytest.mark.parametrize(
    ("payload", "reason"),
    (
        (b"\x01" * 8 + b"\x80", "feature input_ids ends inside a number"),
        (b"\x01" * 7 + b"\x80" * 10 + b"\x01", "feature input_ids holds a number of more than 10 bytes"),
        (b"\x01" * 7 + b"\x80", "feature input_ids has 7 values"),
    ),
)
def test_numbers_that_do_not_end_are_refused(payload: bytes, reason: str) -> None:
    sound = {name: values for name, values in features().items() if name != "input_ids"}
    broken = field(1, entry("input_ids", 3, field(1, payload))) + encode_example(sound)
    with pytest.raises(RowError, match=reason) as refusal:
        Decoder(SCHEMA, VOCAB_SIZE).decode([encode_example(features()), broken])
    assert refusal.value.row == 1


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=400))
def test_random_bytes_are_refused_and_nothing_else_happens(record: bytes) -> None:
    with pytest.raises(RowError):
        Decoder(SCHEMA, VOCAB_SIZE).decode([record])


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 10**6), st.integers(0, 255))
def test_a_changed_byte_is_refused_or_gives_values_in_range(place: int, value: int) -> None:
    record = bytearray(encode_example(features()))
    record[place % len(record)] = value
    try:
        batch = Decoder(SCHEMA, VOCAB_SIZE).decode([bytes(record)])
    except RowError:
        return
    assert ((batch.input_ids >= 0) & (batch.input_ids < VOCAB_SIZE)).all()
    assert ((batch.masked_lm_positions >= 0) & (batch.masked_lm_positions < 8)).all()
    assert ((batch.masked_lm_weights >= 0) & (batch.masked_lm_weights < np.inf)).all()
