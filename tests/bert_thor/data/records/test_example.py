"""One row as a message: what is written is read again, and whatever is unsuitable is refused with file, record and reason."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_rows import SCHEMA, VOCAB_SIZE, features, read_rows, write_records

from bert_thor.data.errors import RecordError
from bert_thor.data.records.example import Decoder, RowError, encode_example


def replaced(name: str, values: object) -> bytes:
    return encode_example({**features(), name: values})  # type: ignore[dict-item]


def without(name: str) -> bytes:
    return encode_example({key: values for key, values in features().items() if key != name})


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
