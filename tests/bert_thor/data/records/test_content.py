"""MLPerf's own files as they are: whatever they are called, packed or not, with or without a schema and side files."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from bert_thor.data.batches.rows import Rows
from bert_thor.data.errors import DataError, RecordError
from bert_thor.data.records.content import Content, look_at, unpacked
from bert_thor.data.records.folder import open_folder
from bert_thor.data.records.manifest import Manifest
from bert_thor.data.records.schema import Schema
from bert_thor.data.records.tfrecord import frame

Prepared = tuple[Path, Manifest]
VOCAB_SIZE = 200  # of the folder `prepared`


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def foreign(prepared: Prepared, tmp_path: Path) -> Path:
    """A folder with the three training files under MLPerf's names, checksums beside them, and no schema."""
    folder = tmp_path / "results4"
    folder.mkdir()
    for number, file in enumerate(sorted((prepared[0] / "train").iterdir())):
        target = folder / f"part-{number:05d}-of-00003"
        shutil.copy(file, target)
        (folder / f"{target.name}.md5").write_text(f"{hashlib.md5(file.read_bytes()).hexdigest()}  {target.name}\n")
    (folder / "README.tfrecord.txt").write_text("Rows for MLPerf.\n")
    (folder / ".hidden").write_bytes(frame(b""))
    return folder


def test_files_without_a_suffix_are_read_and_side_files_are_not(
    foreign: Path, prepared: Prepared, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = open_folder(foreign)
    assert [file.name for file in folder.files] == [f"part-0000{number}-of-00003" for number in range(3)]
    assert folder.schema == Schema(32, 4)
    assert f"{foreign} has no schema.json; its first row has 32 tokens and 4 predictions." in capfd.readouterr().err
    rows, expected = Rows(folder, VOCAB_SIZE), Rows(open_folder(prepared[0]), VOCAB_SIZE)
    assert len(rows) == len(expected) == prepared[1].train_rows
    numbers = np.arange(len(rows))
    for found, wanted in zip(rows.read(numbers), expected.read(numbers)):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    "name", ("eval_10k", "a.tf_record", "a.TFRecord", "a.tfrecord", "a.tfrecord-00000-of-00001", "train.tfrecord.bin")
)
@pytest.mark.parametrize("pack", (False, True))
def test_every_usual_name_is_read_packed_or_not(name: str, pack: bool, prepared: Prepared, tmp_path: Path) -> None:
    content = (prepared[0] / "train" / "part-00000-of-00003.tfrecord").read_bytes()
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / (f"{name}.gz" if pack else name)
    path.write_bytes(gzip.compress(content) if pack else content)
    for opened in (path, folder):
        assert len(Rows(open_folder(opened), VOCAB_SIZE)) == prepared[1].files[0].rows


def test_a_packed_file_is_unpacked_once(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "a.tfrecord.gz"
    path.write_bytes(gzip.compress(frame(b"x") * 3))
    copy = unpacked(path)
    assert copy.read_bytes() == frame(b"x") * 3 and cache in copy.parents
    copy.write_bytes(b"kept")
    assert unpacked(path) == copy and copy.read_bytes() == b"kept"
    path.write_bytes(gzip.compress(frame(b"y")))
    assert unpacked(path).read_bytes() == frame(b"y")


def test_a_damaged_packed_file_is_refused_and_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "a.tfrecord.gz"
    for content in (gzip.compress(frame(bytes(10_000)))[:-10], gzip.compress(b"x")[:-8] + bytes(8)):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.tfrecord\.gz: this gzip file is damaged or incomplete"):
            open_folder(tmp_path)
        assert not [file for file in cache.rglob("*") if file.is_file() and file.suffix != ".lock"]


def test_no_room_to_unpack_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tfrecord.gz").write_bytes(gzip.compress(frame(b"x")))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot unpack .*a\.tfrecord\.gz .*; unpack it with gunzip"):
        open_folder(tmp_path)


@pytest.mark.parametrize(
    ("content", "expected"),
    (
        (frame(b"x"), Content.RECORDS),
        (gzip.compress(frame(b"x")), Content.RECORDS),
        (b"d41d8cd98f00b204e9800998ecf8427e  part-00000\n", Content.TEXT),
        (b"", Content.OTHER),
        (b"\x00\x01\x02", Content.OTHER),
        (gzip.compress(b"x")[:8], Content.OTHER),
    ),
)
def test_what_a_file_holds(content: bytes, expected: Content, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content)
    assert look_at(tmp_path / "a") is expected


def test_a_damaged_file_is_not_passed_over(foreign: Path) -> None:
    """A file that is called a TFRecord file and does not begin as one is damaged, not foreign."""
    damaged = foreign / "part.tfrecord"
    damaged.write_bytes(b"\xff" + frame(b"x" * 100)[1:])
    with pytest.raises(RecordError, match=r"part\.tfrecord: record 0: the checksum of the length field"):
        Rows(open_folder(foreign), VOCAB_SIZE)


@pytest.mark.parametrize("content", (b"", frame(b""), frame(b"\x0a\x02\x0a\x00")))
def test_what_has_no_row_to_infer_a_schema_from_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.tfrecord").write_bytes(content)
    with pytest.raises(DataError, match=r"has no rows to tell|feature input_ids is missing|have no rows"):
        open_folder(tmp_path)


def test_only_rows_that_were_kept_from_training_are_called_held_out(prepared: Prepared, foreign: Path) -> None:
    assert open_folder(prepared[0], "held_out").is_held_out
    assert not open_folder(prepared[0], "train").is_held_out
    assert not open_folder(foreign, "held_out").is_held_out
