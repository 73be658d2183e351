"""A sound row, and files of rows that tests damage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Union

import numpy as np

from bert_thor.data.batches.rows import Rows
from bert_thor.data.records.folder import DataFolder
from bert_thor.data.records.schema import Schema
from bert_thor.data.records.tfrecord import RecordWriter

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
