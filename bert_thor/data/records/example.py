"""One row as a `tf.train.Example` (protobuf wire format): encoded one by one, decoded many rows at a time.

The messages (tensorflow/core/example/{example,feature}.proto): Example{1: Features}, Features{1: map entry}, entry{1:
key, 2: Feature}, Feature{one of 2: FloatList, 3: Int64List}, FloatList{1: packed float}, Int64List{1: packed varint}.
Decoding takes the features in any order, packed or not, ignores other features and unknown fields, and refuses
everything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Union

import numpy as np
import numpy.typing as npt

from bert_thor.data.errors import RecordError
from bert_thor.data.records.schema import Batch, Schema, column_type

_LIST_FIELD = {"float32": 2, "int64": 3}  # field number of the list in Feature
_LIST_NAMES = {1: "bytes", 2: "float", 3: "int64"}
_LONGEST_VARINT = 10  # bytes
_VARINT, _LENGTH_DELIMITED = 0, 2
_FIXED_BYTES = {1: 8, 5: 4}  # bytes by wire type


class RowError(ValueError):
    """What is wrong with row number `row` of the rows that were decoded together."""

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(reason)
        self.row, self.reason = row, reason


class _WireError(ValueError):
    """Bytes that are not the protobuf message they should be."""


class _VarintTable(dict[int, bytes]):
    """Encoded varints, filled on demand; negative numbers as 64-bit two's complement."""

    def __missing__(self, value: int) -> bytes:
        rest, encoded = value & (2**64 - 1), bytearray()
        while rest >= 0x80:
            encoded.append(rest & 0x7F | 0x80)
            rest >>= 7
        encoded.append(rest)
        self[value] = bytes(encoded)
        return self[value]


_VARINTS = _VarintTable()


def encode_example(features: dict[str, Union[Sequence[int], bytes, npt.NDArray[np.float32]]]) -> bytes:
    """Serialise features in the order given: integers become an int64 list, a float32 array a float list.

    Integers may also be given as they are stored: bytes, made of `varints`.
    """
    parts: list[bytes] = []
    for name, values in features.items():
        if isinstance(values, np.ndarray):
            payload, kind = values.astype("<f4").tobytes(), "float32"
        else:
            kind = "int64"
            payload = values if isinstance(values, bytes) else b"".join(map(_VARINTS.__getitem__, values))
        parts += (_before_payload(name, kind, len(payload)), payload)
    return _delimited(1, b"".join(parts))


@lru_cache(maxsize=4)
def varints(limit: int) -> list[bytes]:
    """How the numbers from 0 to `limit` - 1 are stored; below 128 a number is its own byte."""
    return [_VARINTS[number] for number in range(limit)]


@lru_cache(maxsize=1 << 12)
def _before_payload(name: str, kind: str, length: int) -> bytes:
    """The bytes of a map entry up to the packed values, of which there are `length` bytes."""
    payload = bytes(length)
    feature = _delimited(_LIST_FIELD[kind], _delimited(1, payload))
    entry = _delimited(1, _delimited(1, name.encode()) + _delimited(2, feature))
    return entry[: len(entry) - length]


def _delimited(field: int, data: bytes) -> bytes:
    """A length-delimited field."""
    return b"".join((bytes((field << 3 | _LENGTH_DELIMITED,)), _VARINTS[len(data)], data))


@dataclass(frozen=True)
class Decoder:
    """Decodes and checks rows of one schema.

    Attributes:
        schema: the sizes of the columns.
        vocab_size: token numbers must be below it.
    """

    schema: Schema
    vocab_size: int

    def decode(self, records: Sequence[bytes]) -> Batch:
        """Decode B records into one batch.

        Errors: RowError with the row and the reason: not a tf.train.Example; a feature missing, twice, of another type
        or length; a token number outside the vocabulary, a position outside the sequence or in its padding, a mask,
        segment or label other than 0 and 1, a weight that is negative or not finite.
        """
        lengths = self.schema.lengths()
        payloads = [_feature_payloads(record, row, lengths) for row, record in enumerate(records)]
        columns: list[npt.NDArray[np.generic]] = []
        for number, (name, length) in enumerate(lengths.items()):
            column = [row[number] for row in payloads]
            if column_type(name) == "float32":
                columns.append(_decode_floats(column, name, length))
            else:
                columns.append(_decode_integers(column, name, length, self._limit(name)))
        columns[-1] = columns[-1].reshape(-1)  # next_sentence_labels[B, 1] -> [B]
        batch = Batch(*columns)  # type: ignore[arg-type]
        _check_predictions(batch)
        return batch

    def _limit(self, name: str) -> int:
        """Smallest value that a column must not hold."""
        return {
            "input_ids": self.vocab_size,
            "masked_lm_ids": self.vocab_size,
            "masked_lm_positions": self.schema.max_seq_length,
        }.get(name, 2)


def infer_schema(record: bytes, file: str) -> Schema:
    """The schema whose lengths `record`, the first of `file`, has. Errors: RecordError if it has no such columns."""
    try:
        payloads = _feature_payloads(record, 0, Schema(1, 1).lengths())
    except RowError as error:
        raise RecordError(file, 0, error.reason) from None
    columns = dict(zip(Batch._fields, payloads))
    lengths = [sum(byte < 128 for byte in columns[name]) for name in ("input_ids", "masked_lm_positions")]
    if min(lengths) == 0:
        raise RecordError(file, 0, "its sequence or its predictions have no values")
    return Schema(*lengths)


def _check_predictions(batch: Batch) -> None:
    weights = batch.masked_lm_weights
    _refuse(~((weights >= 0) & (weights < np.inf)), "masked_lm_weights holds a value that is negative or not finite")
    real = np.take_along_axis(batch.input_mask, batch.masked_lm_positions.astype(np.int64), axis=1) == 1
    _refuse(~real & (weights > 0), "masked_lm_positions names a place in the padding")


def _refuse(bad: npt.NDArray[np.bool_], reason: str) -> None:
    """Raise RowError for the first row that has a True."""
    if bad.any():
        raise RowError(int(np.flatnonzero(bad.any(axis=1))[0]), reason)


def _decode_floats(payloads: list[bytes], name: str, length: int) -> npt.NDArray[np.float32]:
    for row, payload in enumerate(payloads):
        if len(payload) != 4 * length:
            raise RowError(row, f"feature {name} has {len(payload) / 4:g} values, expected {length}")
    return np.frombuffer(b"".join(payloads), "<f4").astype(np.float32).reshape(-1, length)


def _decode_integers(payloads: list[bytes], name: str, length: int, limit: int) -> npt.NDArray[np.int32]:
    """Packed varints of B rows at once: a byte below 128 ends a number, so one comparison finds all ends."""
    data = np.frombuffer(b"".join(payloads), np.uint8)
    ends = np.flatnonzero(data < 128)
    stops = np.cumsum([len(payload) for payload in payloads])
    counts = np.diff(np.searchsorted(ends, stops), prepend=0)
    for row in np.flatnonzero(counts != length):
        raise RowError(int(row), f"feature {name} has {counts[row]} values, expected {length}")
    whole = data[stops - 1] < 128
    for row in np.flatnonzero(~whole):
        raise RowError(int(row), f"feature {name} ends inside a number")
    values = _varint_values(data, ends, name, length).reshape(-1, length)
    bad = (values < 0) | (values >= limit)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise RowError(int(row), f"{name}[{column}] is {values[row, column]}, expected 0 to {limit - 1}")
    return values.astype(np.int32)


def _varint_values(
    data: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64], name: str, length: int
) -> npt.NDArray[np.int64]:
    """The numbers that end at `ends`, seven bits per byte, lowest first."""
    if len(ends) == len(data):
        return data.astype(np.int64)
    starts = np.concatenate(([0], ends[:-1] + 1))
    widths = ends - starts + 1
    widest = int(widths.max())
    if widest > _LONGEST_VARINT:
        raise RowError(
            int(widths.argmax()) // length, f"feature {name} holds a number of more than {_LONGEST_VARINT} bytes"
        )
    values = (data[starts] & 0x7F).astype(np.uint64)
    for byte in range(1, widest):
        longer = np.flatnonzero(widths > byte)
        values[longer] |= (data[starts[longer] + byte] & 0x7F).astype(np.uint64) << np.uint64(7 * byte)
    signed: npt.NDArray[np.int64] = values.view(np.int64)
    return signed


def _feature_payloads(record: bytes, row: int, lengths: dict[str, int]) -> list[bytes]:
    """The packed values of each column, in the order of `lengths`."""
    found: dict[str, tuple[int, bytes]] = {}
    try:
        for start, end in _messages(record, 0, len(record), 1):
            for entry_start, entry_end in _messages(record, start, end, 1):
                name, kind, payload = _map_entry(record, entry_start, entry_end)
                if name in found:
                    raise _WireError(f"feature {name} occurs twice")
                found[name] = kind, payload
    except _WireError as error:
        raise RowError(row, f"not a tf.train.Example: {error}") from None
    return [_payload(found, name, row) for name in lengths]


def _payload(found: dict[str, tuple[int, bytes]], name: str, row: int) -> bytes:
    if name not in found:
        raise RowError(row, f"feature {name} is missing")
    kind, payload = found[name]
    if kind != _LIST_FIELD[column_type(name)]:
        raise RowError(
            row, f"feature {name} is a list of type {_LIST_NAMES.get(kind, 'nothing')}, expected {column_type(name)}"
        )
    return payload


def _map_entry(data: bytes, start: int, end: int) -> tuple[str, int, bytes]:
    """Name, kind of list (field number in Feature, 0 if it has none) and packed values of one feature."""
    name, kind, payload = "", 0, b""
    for number, wire, first, last in _fields(data, start, end):
        if number == 1 and wire == _LENGTH_DELIMITED:
            name = data[first:last].decode("utf-8", "replace")
        elif number == 2 and wire == _LENGTH_DELIMITED:
            for kind, list_wire, list_first, list_last in _fields(data, first, last):
                if list_wire != _LENGTH_DELIMITED:
                    raise _WireError(f"field {kind} of feature {name!r} is not a list")
                payload = b"".join(
                    [data[a:b] for list_number, _, a, b in _fields(data, list_first, list_last) if list_number == 1]
                )
    return name, kind, payload


def _messages(data: bytes, start: int, end: int, field: int) -> Iterator[tuple[int, int]]:
    """Start and end of each length-delimited field number `field` of the message data[start:end]."""
    for number, wire, first, last in _fields(data, start, end):
        if number == field and wire == _LENGTH_DELIMITED:
            yield first, last


def _fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, wire type, start and end of the value of each field of the message data[start:end]."""
    while start < end:
        tag, start = _read_varint(data, start, end)
        number, wire = tag >> 3, tag & 7
        if wire == _LENGTH_DELIMITED:
            length, start = _read_varint(data, start, end)
            stop = start + length
        elif wire == _VARINT:
            _, stop = _read_varint(data, start, end)
        elif wire in _FIXED_BYTES:
            stop = start + _FIXED_BYTES[wire]
        else:
            raise _WireError(f"wire type {wire} at byte {start}")
        if stop > end or number == 0:
            raise _WireError(f"field {number} at byte {start} reaches beyond the end of its message")
        yield number, wire, start, stop
        start = stop


def _read_varint(data: bytes, start: int, end: int) -> tuple[int, int]:
    """The number at data[start] and the place after it."""
    value = shift = 0
    for place in range(start, min(end, start + _LONGEST_VARINT)):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place + 1
        shift += 7
    raise _WireError(f"unfinished number at byte {start}")
