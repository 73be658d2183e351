"""Fuzzing of everything that is read from a data folder: `make fuzz`, or `python fuzz_tfrecord.py -max_total_time=3600`.

Whatever the bytes are, the readers either refuse them with a DataError or return values within the promised ranges, and a row that
they accept survives being written and read again. Anything else (another exception, a hang, memory without bound) is a finding:
atheris stops and stores the input as `crash-*`.

The first byte of an input chooses what the rest is: a whole TFRecord file, one record whose checksums are put right (so that
mutations reach the protobuf decoder), the values of one record's features, a schema, a manifest or a vocabulary.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["bert_thor.data"]):
    from bert_thor.data.batches.rows import Rows
    from bert_thor.data.errors import DataError, RecordError
    from bert_thor.data.records.example import encode_example
    from bert_thor.data.records.folder import DataFolder
    from bert_thor.data.records.manifest import MANIFEST, MANIFEST_VERSION, FileEntry, Manifest, Unigram, read_manifest
    from bert_thor.data.records.schema import Batch, Schema, read_schema
    from bert_thor.data.records.tfrecord import frame
    from bert_thor.data.text.vocabulary import read_vocabulary

import numpy as np

SCHEMA = Schema(max_seq_length=8, max_predictions_per_seq=2)
VOCAB_SIZE = 300
FOLDER = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
FEATURES = {
    "input_ids": [1, 7, 299, 2, 130, 2, 0, 0],
    "input_mask": [1, 1, 1, 1, 1, 1, 0, 0],
    "segment_ids": [0, 0, 0, 0, 1, 1, 0, 0],
    "masked_lm_positions": [2, 0],
    "masked_lm_ids": [200, 0],
    "masked_lm_weights": [1.0, 0.0],
    "next_sentence_labels": [1],
}
SOUND = encode_example({**FEATURES, "masked_lm_weights": np.array([1, 0], np.float32)})


def read_rows(content: bytes) -> Batch:
    """All rows of a file with this content."""
    path = FOLDER / "part.tfrecord"
    path.write_bytes(content)
    rows = Rows(DataFolder(path, (path,), SCHEMA, None), VOCAB_SIZE)
    return rows.read(np.arange(len(rows)))


def check_file(content: bytes) -> None:
    """A whole file; skipping damage must end, and leave only sound rows."""
    path = FOLDER / "part.tfrecord"
    try:
        check_ranges(read_rows(content))
    except RecordError as error:
        assert error.file == str(path) and error.record >= 0 and error.reason, error
        rows = Rows(DataFolder(path, (path,), SCHEMA, None), VOCAB_SIZE, skip_damaged=True)
        check_ranges(rows.read(np.arange(min(len(rows), 4))))
        assert rows.skipped


def check_record(record: bytes) -> None:
    """The second of three records; the others are sound."""
    try:
        batch = read_rows(frame(SOUND) + frame(record) + frame(SOUND))
    except RecordError as error:
        assert error.record == 1, error
        return
    check_ranges(batch)
    columns = {name: column.reshape(3, -1)[1] for name, column in zip(Batch._fields, batch)}
    row = {name: values if values.dtype == np.float32 else values.tolist() for name, values in columns.items()}
    for first, second in zip(batch, read_rows(frame(encode_example(row)))):
        assert np.array_equal(first[1:2], second)


def check_values(content: bytes) -> None:
    """A sound record after a few edits: a value replaced, added or removed, or a feature removed or given another type."""
    data = atheris.FuzzedDataProvider(content)
    row = {name: list(values) for name, values in FEATURES.items()}
    floats = {"masked_lm_weights"}
    for _ in range(data.ConsumeIntInRange(1, 4)):
        name = data.PickValueInList(list(row))
        place, value = (
            data.ConsumeIntInRange(0, 8),
            data.PickValueInList([-1, 0, 1, 2, 7, 8, 299, 300, 2**31, 2**32, -(2**63)]),
        )
        edit = data.ConsumeIntInRange(0, 15)
        if edit == 0:
            row[name].insert(place, value)
        elif edit == 1:
            floats ^= {name}
        elif edit == 2 and len(row) > 1:
            del row[name]
        elif edit == 3:
            row[name][place:] = []
        elif name == "masked_lm_weights":
            row[name][place : place + 1] = [
                data.PickValueInList([-1.0, 0.5, 2.0, float("nan"), float("inf"), data.ConsumeFloat()])
            ]
        else:
            row[name][place : place + 1] = [value]
    check_record(encode_example({name: typed(values, name in floats) for name, values in row.items()}))


def typed(values: list[float], as_floats: bool) -> object:
    """The values as encode_example takes them."""
    with np.errstate(all="ignore"):
        return (
            np.array(values, np.float32) if as_floats else [int(value) if abs(value) < 2**64 else 0 for value in values]
        )


def check_ranges(batch: Batch) -> None:
    """What a batch promises."""
    assert [column.dtype for column in batch] == [np.dtype(np.int32)] * 5 + [np.dtype(np.float32), np.dtype(np.int32)]
    rows = len(batch.input_ids)
    shapes = [(rows, SCHEMA.max_seq_length)] * 3 + [(rows, SCHEMA.max_predictions_per_seq)] * 3 + [(rows,)]
    assert [column.shape for column in batch] == shapes
    limits = (VOCAB_SIZE, 2, 2, SCHEMA.max_seq_length, VOCAB_SIZE, np.inf, 2)
    for column, limit in zip(batch, limits):
        assert ((column >= 0) & (column < limit)).all()


def check_schema(content: bytes) -> None:
    """A schema.json."""
    path = FOLDER / "schema.json"
    path.write_bytes(content)
    schema = read_schema(path)
    assert 1 <= schema.max_seq_length <= 1 << 20 and 1 <= schema.max_predictions_per_seq <= 1 << 20


def check_manifest(content: bytes) -> None:
    """A manifest.json."""
    (FOLDER / MANIFEST).write_bytes(content)
    read_manifest(FOLDER).to_json()


def check_vocabulary(content: bytes) -> None:
    """A vocab.txt."""
    path = FOLDER / "vocab.txt"
    path.write_bytes(content)
    vocabulary = read_vocabulary(path)
    assert all(0 <= number < len(vocabulary) for number in vocabulary.encode(content.decode("utf-8", "replace")[:1000]))


CHECKS = (check_file, check_record, check_values, check_schema, check_manifest, check_vocabulary)


def check(data: bytes) -> None:
    """One input."""
    if data:
        try:
            CHECKS[data[0] % len(CHECKS)](data[1:])
        except DataError:
            return


def corpus() -> Path:
    """A folder with a sound input of each kind, and random edits of sound values."""
    folder = FOLDER / "corpus"
    folder.mkdir()
    vocabulary = "\n".join(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b", "\u00e9"))
    unigram = Unigram(token_id=1, token="[UNK]", held_out_labels=1, held_out_hits=1, held_out_accuracy=1.0)
    manifest = Manifest(
        version=MANIFEST_VERSION,
        source=["docstrings"],
        seed=0,
        vocab_size=VOCAB_SIZE,
        max_seq_length=8,
        max_predictions_per_seq=2,
        masked_lm_prob=0.15,
        short_seq_prob=0.1,
        dupe_factor=1,
        documents=2,
        held_out_documents=1,
        text_sha256="0",
        unicode_version="14.0.0",
        train_rows=3,
        held_out_rows=1,
        unigram=unigram,
        files=[FileEntry("train/part", 3, 100, "0")],
    )
    texts = (SCHEMA.to_json(), manifest.to_json(), vocabulary)
    sound = (frame(SOUND) * 3, SOUND, bytes(100), *(text.encode() for text in texts))
    edits = ((CHECKS.index(check_values), random.Random(number).randbytes(64)) for number in range(64))
    for number, (kind, content) in enumerate([*enumerate(sound), *edits]):
        (folder / str(number)).write_bytes(bytes((kind,)) + content)
    return folder


if __name__ == "__main__":
    found = os.environ.get("FUZZ_CORPUS") or tempfile.mkdtemp()
    atheris.Setup([*sys.argv, found, str(corpus())], check)
    atheris.Fuzz()
