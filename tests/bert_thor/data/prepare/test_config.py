from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bert_thor.data.errors import DataError
from bert_thor.data.prepare import PrepareConfig
from bert_thor.data.records.schema import Schema


@pytest.mark.parametrize(
    ("length", "predictions"),
    ((128, 20), (512, 76), (64, 8), (8, 1)),
    ids=("MLPerf phase 1", "MLPerf phase 2", "64", "8"),
)
def test_predictions_per_row_by_default(length: int, predictions: int) -> None:
    assert PrepareConfig(Path("x"), max_seq_length=length).schema == Schema(length, predictions)


def test_no_prediction_slot_is_empty_in_full_rows() -> None:
    assert PrepareConfig(Path("x"), pack=True).schema == Schema(128, 19)
    assert PrepareConfig(Path("x"), pack=True, max_predictions_per_seq=20).schema == Schema(128, 20)


@pytest.mark.parametrize(
    ("setting", "reason"),
    (
        ({"max_seq_length": 4}, "max_seq_length is 4, expected 8 to 65536"),
        ({"masked_lm_prob": 0.0}, "masked_lm_prob is 0.0, expected more than 0"),
        ({"masked_lm_prob": float("nan")}, "masked_lm_prob is nan"),
        ({"short_seq_prob": 1.5}, "short_seq_prob is 1.5, expected 0 to 1"),
        ({"held_out_fraction": 1.0}, "held_out_fraction is 1.0, expected at least 0 and less than 1"),
        ({"dupe_factor": 0}, "dupe_factor is 0, expected at least 1"),
        ({"vocab_size": 10}, "vocab_size is 10, expected at least"),
        ({"shards": 0}, "shards is 0, expected at least 1"),
        ({"workers": 0}, "workers is 0, expected at least 1"),
        ({"part": "0/2"}, "part is 0/2, expected I/N with I from 1 to N"),
        ({"part": "3/2"}, "part is 3/2"),
        ({"part": "1"}, "part is 1,"),
        ({"part": "-1/2"}, "part is -1/2"),
        ({"max_predictions_per_seq": 126}, "max_predictions_per_seq is 126, expected 1 to 125"),
    ),
)
def test_settings_out_of_range_are_refused(setting: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        PrepareConfig(Path("x"), **setting)
