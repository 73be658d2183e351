"""Rows of a file: every column as the general encoder writes it, every batch with documents and random numbers of its own."""

from __future__ import annotations

import random
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bert_thor.data.errors import DataError
from bert_thor.data.prepare import row_files
from bert_thor.data.prepare.documents import Selection, survey
from bert_thor.data.prepare.row_files import RowEncoder, RowFile, RowWriter, WrittenRows, file_seed
from bert_thor.data.records.example import Decoder, encode_example
from bert_thor.data.records.record_file import RecordFile
from bert_thor.data.records.schema import Batch, Schema
from bert_thor.data.text.corpus import Part
from bert_thor.data.text.extent import Extent
from bert_thor.data.text.files import Opener
from bert_thor.data.text.instances import Instance, Lengths
from bert_thor.data.text.masking import Masking
from bert_thor.data.text.vocabulary import SPECIAL_TOKENS

SCHEMA = Schema(max_seq_length=16, max_predictions_per_seq=4)
WORDS = [f"w{number}" for number in range(400)]
PIECES = (*SPECIAL_TOKENS, *WORDS)


def test_a_row_is_encoded_as_the_general_encoder_does() -> None:
    instance = Instance([2, 300, 40_000, 3, 5, 3], [0, 0, 0, 0, 1, 1], [1, 4], [127, 128], True)
    weights = np.array([1, 1, 0, 0], np.float32)
    expected = encode_example(
        {
            "input_ids": instance.input_ids + [0] * 10,
            "input_mask": [1] * 6 + [0] * 10,
            "segment_ids": instance.segment_ids + [0] * 10,
            "masked_lm_positions": [1, 4, 0, 0],
            "masked_lm_ids": [127, 128, 0, 0],
            "masked_lm_weights": weights,
            "next_sentence_labels": [1],
        }
    )
    assert RowEncoder(SCHEMA, 40_001)(instance) == expected


def row_file(folder: Path, documents: int, number: int = 0) -> RowFile:
    """Document d holds the word w<d> alone, so that every token tells where it comes from."""
    return file_of(folder, "\n\n".join("\n".join([WORDS[d]] * 6) for d in range(documents)), number)


def file_of(folder: Path, content: str, number: int = 0) -> RowFile:
    path = folder / "text.txt"
    path.write_text(content)
    text = Opener(folder, False, "text")(path)
    part = Part((Extent(text, 0, text.size),))
    selection = Selection(part, survey(part).documents, frozenset(), wanted=False)
    return RowFile(f"part-{number}", number, (selection,), dupe_factor=2)


def write_rows(folder: Path, file: RowFile, seed: int = 1) -> WrittenRows:
    masking = Masking(4, 0.15, vocab_size=len(PIECES), cls_id=2, sep_id=3, mask_id=4)
    (folder / "scratch").mkdir(exist_ok=True)
    writer = RowWriter(folder, folder / "scratch", PIECES, False, SCHEMA, Lengths(16, 0.0), masking, seed)
    written = writer(file)
    assert not list((folder / "scratch").iterdir())
    return written


def write(folder: Path, file: RowFile) -> Batch:
    written = write_rows(folder, file)
    records = RecordFile(folder / file.path)
    assert len(records) == written.entry.rows
    batch = Decoder(SCHEMA, len(PIECES)).decode([records.read(number) for number in range(len(records))])
    labels = np.bincount(batch.masked_lm_ids[batch.masked_lm_weights > 0], minlength=len(PIECES))
    np.testing.assert_array_equal(written.label_counts, labels)
    return batch


def documents_of(batch: Batch) -> list[set[int]]:
    """The documents that each row shows; replaced tokens are put back."""
    tokens = batch.input_ids.copy()
    for row, place, token in zip(tokens, batch.masked_lm_positions, batch.masked_lm_ids):
        row[place[token > 0]] = token[token > 0]
    return [{int(token) - 5 for token in row if token >= 5} for row in tokens]


def test_a_large_file_is_made_of_batches_of_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = row_file(tmp_path, documents=40)
    monkeypatch.setattr(row_files, "_BATCH_BYTES", int(file.size / 3.5))
    rows = documents_of(write(tmp_path, file))
    quarter = len(rows) // 4
    for number in range(4):
        shown = set().union(*rows[number * quarter + 20 : (number + 1) * quarter - 20])
        assert shown <= set(range(number * 10, number * 10 + 10))
    assert set().union(*rows) == set(range(40))


def test_no_batch_has_a_single_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_files, "_BATCH_BYTES", 1)
    file = row_file(tmp_path, documents=5)
    assert [count for count, _ in file.batches()] == [2, 3]
    assert set().union(*documents_of(write(tmp_path, file))) == set(range(5))


def test_a_document_without_words_does_not_count(tmp_path: Path) -> None:
    file = file_of(tmp_path, "w1\n\n\u200b\n")
    assert file.documents == 2
    with pytest.raises(DataError, match="part-0 would have 1 documents with words"):
        write(tmp_path, file)


def test_files_and_batches_start_from_different_random_numbers(tmp_path: Path) -> None:
    files = [row_file(tmp_path, 4, number) for number in range(3)]
    seeds = [file_seed(7, file, batch) for file in files for batch in range(3)]
    assert seeds[0] == 7 and len(set(seeds)) == 9
    assert len({random.Random(seed).random() for seed in seeds}) == 9
    labels = [write(tmp_path, file).next_sentence_labels.tolist() for file in files]
    assert labels[0] != labels[1] != labels[2]


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """Forty passes over the documents make forty times the rows; these go to the disk as they come."""
    peaks = []
    file = row_file(tmp_path, documents=300)
    for dupe_factor in (1, 40):
        tracemalloc.start()
        write_rows(tmp_path, replace(file, path=f"part-{dupe_factor}", dupe_factor=dupe_factor))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    size = (tmp_path / "part-40").stat().st_size
    places = 2 * 8 * len(RecordFile(tmp_path / "part-40"))  # where each row lies, and the order
    counted = 8 * row_files._COUNTED_TOGETHER  # labels that wait to be counted
    allowed = 1.25 * (places + counted)  # lists and arrays grow by an eighth at a time
    assert peaks[1] - peaks[0] < allowed < size / 4
