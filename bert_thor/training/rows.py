"""The rows of a data folder, checked against the network that will read them."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from bert_thor.data.batches.rows import Rows
from bert_thor.data.records.folder import open_folder
from bert_thor.errors import ConfigError
from bert_thor.network.sizes import BertConfig


def open_rows(
    data: Path,
    split: str,
    model: BertConfig,
    schema: Optional[Path] = None,
    first: Optional[int] = None,
    skip_damaged: bool = False,
) -> Rows:
    """The rows of one split ("train" or "held_out"), or the `first` of them; `ConfigError` where the network is too small.

    With `skip_damaged` the next sound row is read in the place of a damaged one; otherwise damage raises `RecordError`.
    """
    folder = open_folder(data, split, schema)
    if folder.schema.max_seq_length > model.max_position:
        raise ConfigError(
            f"{data} has sequences of {folder.schema.max_seq_length} tokens, the position table has {model.max_position} rows: "
            "prepare shorter sequences or raise --max-position"
        )
    return Rows(folder, model.vocab_size, first, skip_damaged)
