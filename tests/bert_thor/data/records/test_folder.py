"""What can be wrong with a data folder: each one sentence that names it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bert_thor.data.batches.rows import Rows
from bert_thor.data.errors import DataError
from bert_thor.data.records.folder import open_folder
from bert_thor.data.records.manifest import Manifest, read_manifest
from bert_thor.data.records.schema import Schema, read_schema

Prepared = tuple[Path, Manifest]
VOCAB_SIZE = 200  # of the folder `prepared`


@pytest.fixture
def folder(prepared: Prepared, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared[0], tmp_path / "data"))


def test_a_prepared_folder_has_two_splits(prepared: Prepared) -> None:
    path, manifest = prepared
    assert len(Rows(open_folder(path, "train"), VOCAB_SIZE)) == manifest.train_rows
    assert len(Rows(open_folder(path, "held_out"), VOCAB_SIZE)) == manifest.held_out_rows
    with pytest.raises(DataError, match="the split is 'test', expected one of train, held_out"):
        open_folder(path, "test")


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist; make it with `bert-thor prepare"):
        open_folder(tmp_path / "nowhere")
    with pytest.raises(DataError, match="has no TFRecord file"):
        open_folder(tmp_path)


def test_no_held_out_rows(folder: Path) -> None:
    shutil.rmtree(folder / "held_out")
    with pytest.raises(DataError, match="has no held_out rows"):
        open_folder(folder, "held_out")


def test_files_without_rows(folder: Path) -> None:
    for path in (folder / "train").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match="has no rows"):
        Rows(open_folder(folder), VOCAB_SIZE)


def test_another_vocabulary(folder: Path) -> None:
    with pytest.raises(DataError, match=f"has a vocabulary of {VOCAB_SIZE} tokens, the model one of 99"):
        Rows(open_folder(folder), 99)


def change_schema(folder: Path, change: dict[str, Any]) -> Path:
    path = folder / "schema.json"
    document = json.loads(path.read_text())
    for name, column in change.items():
        if column is None:
            del document["columns"][name]
        else:
            document["columns"][name] = {**document["columns"][name], **column}
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("change", "reason"),
    (
        ({"segment_ids": {"shape": [31]}}, r"column segment_ids has shape \[31\], expected \[32\]"),
        ({"masked_lm_weights": {"shape": [5]}}, r"column masked_lm_weights has shape \[5\], expected \[4\]"),
        ({"next_sentence_labels": {"shape": [2]}}, r"column next_sentence_labels has shape \[2\], expected \[1\]"),
        ({"input_mask": None}, "column input_mask is missing"),
        ({"input_ids": {"shape": [4, 8]}}, r"column input_ids has shape \[4, 8\], expected one dimension"),
        ({"input_ids": {"shape": [-1]}}, r"column input_ids has shape \[-1\], expected one dimension"),
        ({"input_ids": {"shape": [True]}}, r"column input_ids has shape \[True\], expected one dimension"),
        (
            {"input_ids": {"shape": [10**12]}},
            r"column input_ids has shape \[1000000000000\], expected one dimension between 1 and 1048576",
        ),
        ({"input_ids": {"shape": "32"}}, "column input_ids has shape 32"),
        ({"input_ids": {"type": "float32"}}, "column input_ids has type 'float32', expected 'int64'"),
        ({"masked_lm_weights": {"type": "int64"}}, "column masked_lm_weights has type 'int64', expected 'float32'"),
    ),
)
def test_a_schema_that_does_not_match(folder: Path, change: dict[str, Any], reason: str) -> None:
    path = change_schema(folder, change)
    with pytest.raises(DataError, match=rf"schema\.json: {reason}"):
        read_schema(path)


def test_a_schema_of_other_lengths_than_the_data(folder: Path) -> None:
    (folder / "schema.json").write_text(Schema(64, 10).to_json())
    with pytest.raises(DataError, match=r"max_seq_length=64.* was prepared with .*max_seq_length=32"):
        open_folder(folder)
    first = open_folder(folder / "train" / "part-00000-of-00003.tfrecord", schema_file=folder / "schema.json")
    rows = Rows(first, VOCAB_SIZE)
    with pytest.raises(DataError, match="record 0: feature input_ids has 32 values, expected 64"):
        rows.read(np.arange(1))


HOSTILE = (
    b"",
    b"{",
    b"[]",
    b'"x"',
    b"null",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"columns": []}',
    b'{"datasetType": "TF", "columns": 1}',
)


@pytest.mark.parametrize("content", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_json_is_refused(folder: Path, content: bytes) -> None:
    for name, read in (("schema.json", read_schema), ("manifest.json", lambda path: read_manifest(path.parent))):
        (folder / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            read(folder / name)


def test_files_that_are_far_too_large_are_not_read(folder: Path) -> None:
    for name, read in (("schema.json", read_schema), ("manifest.json", lambda path: read_manifest(path.parent))):
        with open(folder / name, "ab") as file:
            file.truncate(1 << 25)
        with pytest.raises(DataError, match=f"{name}: larger than"):
            read(folder / name)


@pytest.mark.parametrize(
    "change",
    (
        {"version": 2},
        {"vocab_size": "200"},
        {"files": 5},
        {"files": [{"path": 1}]},
        {"unigram": None},
        {"unigram": {"token_id": 1}},
        {"extra": 1},
        {"train_rows": None},
    ),
)
def test_a_manifest_of_another_form_is_refused(folder: Path, change: dict[str, Any]) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=r"manifest\.json: "):
        read_manifest(folder)


def test_a_manifest_is_read_as_it_was_written(prepared: Prepared) -> None:
    assert read_manifest(prepared[0]) == prepared[1]


def test_a_manifest_from_before_the_newer_options_is_read(folder: Path) -> None:
    path = folder / "manifest.json"
    document = json.loads(path.read_text())
    for name in ("cased", "whole_word_mask", "pack"):
        del document[name]
    path.write_text(json.dumps(document))
    manifest = read_manifest(folder)
    assert not (manifest.cased or manifest.whole_word_mask or manifest.pack)
