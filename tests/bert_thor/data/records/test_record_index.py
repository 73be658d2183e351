"""The index of a large file is stored, used, and never trusted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bert_thor.data.errors import RecordError
from bert_thor.data.records import record_index
from bert_thor.data.records.record_file import RecordFile, open_files
from bert_thor.data.records.tfrecord import RecordWriter

RECORDS = [bytes((number,)) * (number % 7) for number in range(50)]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that counts as large, and an empty cache."""
    monkeypatch.setattr(record_index, "_SMALLEST_STORED_FILE", 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return write(tmp_path / "part-00000.tfrecord", RECORDS)


def write(path: Path, records: list[bytes]) -> Path:
    with RecordWriter(path) as writer:
        for record in records:
            writer.write(record)
    return path


def stored(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "bert_thor" / "record_index").glob("*.npy"))


def read_all(path: Path) -> list[bytes]:
    file = RecordFile(path)
    return [file.read(number) for number in range(len(file))]


def no_scan(descriptor: int, file: str) -> record_index.Index:
    raise AssertionError("the file was walked over again")


def test_the_second_opening_does_not_walk_over_the_file(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_all(file) == RECORDS
    assert len(stored(tmp_path)) == 1
    monkeypatch.setattr(record_index, "scan", no_scan)
    assert read_all(file) == RECORDS


def test_small_files_are_not_stored(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_index, "_SMALLEST_STORED_FILE", file.stat().st_size + 1)
    assert read_all(file) == RECORDS and stored(tmp_path) == []


def test_a_file_that_changed_is_walked_over_again(file: Path) -> None:
    read_all(file)
    file.unlink()
    write(file, RECORDS[::-1])
    os.utime(file, ns=(0, 12345))
    assert read_all(file) == RECORDS[::-1]


@pytest.mark.parametrize("content", (b"", b"not numpy", b"\x93NUMPY\x01\x00", None))
def test_a_damaged_index_is_replaced(content: bytes, file: Path, tmp_path: Path) -> None:
    read_all(file)
    (index,) = stored(tmp_path)
    if content is None:
        np.save(index, np.arange(5))
    else:
        index.write_bytes(content)
    assert read_all(file) == RECORDS
    assert np.load(index)[-1] == file.stat().st_size


def test_a_wrong_index_gives_an_error_not_wrong_rows(file: Path, tmp_path: Path) -> None:
    read_all(file)
    (index,) = stored(tmp_path)
    ends = np.load(index)
    np.save(index, np.delete(ends, 3))
    with pytest.raises(RecordError, match="record 3: its length has changed since the file was opened"):
        RecordFile(file).read(3)
    np.save(index, np.concatenate((ends[:3] + 1, ends[3:])))
    with pytest.raises(RecordError, match="record 1: the checksum of the length"):
        RecordFile(file).read(1)


def test_a_damaged_file_is_not_indexed(file: Path, tmp_path: Path) -> None:
    os.truncate(file, file.stat().st_size - 1)
    with pytest.raises(RecordError):
        RecordFile(file)
    assert stored(tmp_path) == []


def test_a_cache_that_cannot_be_written_is_no_error(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))  # a file where the folder should be
    assert read_all(file) == RECORDS


def test_many_files_keep_their_order_wherever_a_process_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [write(tmp_path / f"{number}.tfrecord", [bytes((number,))]) for number in range(5)]
    for process in range(6):
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        assert [file.read(0) for file in open_files(paths)] == [bytes((number,)) for number in range(5)]


def test_processes_that_start_together_agree(file: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from bert_thor.data.records import record_index; "
        "record_index._SMALLEST_STORED_FILE = 1; "
        "from bert_thor.data.records.record_file import RecordFile; print(len(RecordFile(Path(sys.argv[1]))))"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE) for _ in range(4)]
    assert [run.communicate()[0].strip() for run in runs] == [b"50"] * 4
    assert len(stored(tmp_path)) == 1
