"""The same text, vocabulary and seed give the rows of BERT's published scripts, token for token.

The expected rows were recorded by tests/fixtures/make_google_bert.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bert_thor.data.batches.rows import Rows
from bert_thor.data.prepare import PrepareConfig, prepare
from bert_thor.data.records.folder import open_folder
from bert_thor.data.text.vocabulary import Vocabulary, read_vocabulary

FIXTURE: dict[str, Any] = json.loads(
    Path(__file__).parents[2].joinpath("fixtures", "google_bert.json").read_text("ascii")
)


@pytest.mark.parametrize("number", range(len(FIXTURE["lines"])))
def test_tokens_are_those_of_the_published_tokenizer(number: int) -> None:
    vocabulary = Vocabulary(tuple(FIXTURE["vocabulary"]))
    assert [vocabulary.pieces[token] for token in vocabulary.encode(FIXTURE["lines"][number])] == FIXTURE["tokens"][
        number
    ]


@pytest.mark.parametrize("number", range(len(FIXTURE["settings"])))
def test_rows_are_those_of_the_published_script(number: int, tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(FIXTURE["vocabulary"]) + "\n", "utf-8")
    (tmp_path / "text.txt").write_bytes(FIXTURE["text"].encode())
    setting = FIXTURE["settings"][number]
    prepare(
        PrepareConfig(
            tmp_path / "data",
            source=(str(tmp_path / "text.txt"),),
            vocab_file=tmp_path / "vocab.txt",
            held_out_fraction=0,
            seed=FIXTURE["seed"],
            workers=1,
            **setting,
        )
    )
    rows = Rows(open_folder(tmp_path / "data"), len(read_vocabulary(tmp_path / "data" / "vocab.txt")))
    expected = FIXTURE["instances"][number]
    assert len(rows) == len(expected)
    batch = rows.read(np.arange(len(rows)))
    for row, (tokens, b_length, positions, labels, is_random) in enumerate(expected):
        length, count = len(tokens), len(positions)
        np.testing.assert_array_equal(batch.input_ids[row], padded(tokens, setting["max_seq_length"]))
        np.testing.assert_array_equal(batch.input_mask[row], padded([1] * length, setting["max_seq_length"]))
        np.testing.assert_array_equal(
            batch.segment_ids[row], padded([0] * (length - b_length) + [1] * b_length, setting["max_seq_length"])
        )
        np.testing.assert_array_equal(
            batch.masked_lm_positions[row], padded(positions, setting["max_predictions_per_seq"])
        )
        np.testing.assert_array_equal(batch.masked_lm_ids[row], padded(labels, setting["max_predictions_per_seq"]))
        np.testing.assert_array_equal(
            batch.masked_lm_weights[row], padded([1] * count, setting["max_predictions_per_seq"])
        )
        assert batch.next_sentence_labels[row] == is_random


def padded(values: list[int], length: int) -> list[int]:
    return values + [0] * (length - len(values))
