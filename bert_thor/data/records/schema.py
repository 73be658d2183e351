"""The seven columns of a BERT pretraining row, and `schema.json`, MindSpore's description of them (datasetType TF).

S = max_seq_length, P = max_predictions_per_seq (MLPerf's names).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bert_thor.data.errors import DataError

_LARGEST_SCHEMA_BYTES = 1 << 20
_LARGEST_DIMENSION = 1 << 20


class Batch(NamedTuple):
    """B rows, in the order in which the network takes them; int32, but float32 for the weights."""

    input_ids: npt.NDArray[np.int32]  # [B, S] token numbers: [CLS] a [SEP] b [SEP], padded with 0
    input_mask: npt.NDArray[np.int32]  # [B, S] 1 for a token, 0 for padding
    segment_ids: npt.NDArray[np.int32]  # [B, S] 0 up to the first [SEP], then 1; padding 0
    masked_lm_positions: npt.NDArray[np.int32]  # [B, P] places of the tokens to predict, padded with 0
    masked_lm_ids: npt.NDArray[np.int32]  # [B, P] the tokens to predict
    masked_lm_weights: npt.NDArray[np.float32]  # [B, P] 1 for a prediction, 0 for padding
    next_sentence_labels: npt.NDArray[np.int32]  # [B] 0 if b follows a in the text, 1 if b is random


@dataclass(frozen=True)
class Schema:
    """The two sizes that fix the shape of every column."""

    max_seq_length: int
    max_predictions_per_seq: int

    def lengths(self) -> dict[str, int]:
        """Number of values of each column in one row, in the order of `Batch`."""
        s, p = self.max_seq_length, self.max_predictions_per_seq
        return dict(zip(Batch._fields, (s, s, s, p, p, p, 1)))

    def to_json(self) -> str:
        """Text of `schema.json`."""
        columns = {
            name: {"type": column_type(name), "rank": 1, "shape": [length]} for name, length in self.lengths().items()
        }
        return json.dumps({"datasetType": "TF", "columns": columns}, indent=2) + "\n"


def column_type(name: str) -> str:
    """Type of a column in the file: float32 for the weights, int64 for all others."""
    return "float32" if name == "masked_lm_weights" else "int64"


def read_schema(path: Path) -> Schema:
    """Read and check a `schema.json`.

    Errors: DataError naming the file and the column if a column is missing or its type or shape is not what BERT needs.
    """
    columns = _columns(path)
    schema = Schema(_length(columns, "input_ids", path), _length(columns, "masked_lm_positions", path))
    for name, length in schema.lengths().items():
        found = _length(columns, name, path)
        if found != length:
            raise DataError(f"{path}: column {name} has shape [{found}], expected [{length}].")
        kind = columns[name].get("type")
        if kind != column_type(name):
            raise DataError(f"{path}: column {name} has type {kind!r}, expected {column_type(name)!r}.")
    return schema


def _columns(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST_SCHEMA_BYTES:
            raise DataError(f"{path}: larger than {_LARGEST_SCHEMA_BYTES} bytes; this is not a schema.")
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DataError(f"cannot read the schema {path}: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: this is not JSON.") from None
    columns = document.get("columns") if isinstance(document, dict) else None
    if not isinstance(columns, dict) or document.get("datasetType") != "TF":
        raise DataError(f'{path}: expected an object with "datasetType": "TF" and an object "columns".')
    return columns


def _length(columns: dict[str, Any], name: str, path: Path) -> int:
    """The one dimension of a column."""
    column = columns.get(name)
    if not isinstance(column, dict):
        raise DataError(f"{path}: column {name} is missing.")
    shape = column.get("shape")
    if (
        not isinstance(shape, list)
        or len(shape) != 1
        or type(shape[0]) is not int
        or not 1 <= shape[0] <= _LARGEST_DIMENSION
    ):
        raise DataError(
            f"{path}: column {name} has shape {shape}, expected one dimension between 1 and {_LARGEST_DIMENSION}."
        )
    return shape[0]
