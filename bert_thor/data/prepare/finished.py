"""Files that an interrupted preparation had finished, so that the same command goes on from them."""

from __future__ import annotations

import os
import shutil
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Optional
from zipfile import BadZipFile

import numpy as np

from bert_thor.data.prepare.row_files import RowFile, RowWriter, WrittenRows
from bert_thor.data.records.manifest import FileEntry

SCRATCH = "scratch"
"""Folder, inside the one that is prepared, for all that is not part of the result."""

_MADE = ("train", "held_out", "vocab.txt", "schema.json")


class Finished:
    """The record of finished files in the folder that is prepared."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._records = _records(folder)

    def start(self, key: str) -> None:
        """Begin, or go on, with the work that `key` stands for; what was made for another key is removed."""
        stored = self._folder / SCRATCH / "key"
        if not stored.exists() or stored.read_text("ascii") != key:
            for name in _MADE:
                _remove(self._folder / name)
            _remove(self._records)
            stored.write_text(key, "ascii")
        self._records.mkdir(exist_ok=True)

    def load(self, file: RowFile) -> Optional[WrittenRows]:
        """What an earlier run wrote; None if it had not finished the file."""
        try:
            with np.load(self._record(file), allow_pickle=False) as stored:
                path, rows, size, sha256 = stored["entry"].tolist()
                entry = FileEntry(path, int(rows), int(size), sha256)
                written = WrittenRows(entry, stored["label_counts"])
            return written if (self._folder / path).stat().st_size == entry.bytes else None
        except (OSError, ValueError, KeyError, BadZipFile):
            return None

    def store(self, file: RowFile, written: WrittenRows) -> None:
        """Remember that a file is finished."""
        record = self._record(file)
        partial = record.with_suffix(".partial.npz")
        np.savez_compressed(partial, entry=np.array(astuple(written.entry), str), label_counts=written.label_counts)
        os.replace(partial, record)

    def _record(self, file: RowFile) -> Path:
        return self._records / (file.path.replace("/", "-") + ".npz")


@dataclass(frozen=True)
class RecordingWriter:
    """Writes a file of rows in a worker process, and remembers there that it is finished."""

    write: RowWriter
    finished: Finished

    def __call__(self, file: RowFile) -> WrittenRows:
        """Write one file."""
        written = self.write(file)
        self.finished.store(file, written)
        return written


def count_finished(folder: Path) -> int:
    """How many files of the folder that is prepared are finished."""
    return sum(1 for path in _records(folder).glob("*.tfrecord.npz"))


def _records(folder: Path) -> Path:
    return folder / SCRATCH / "finished"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
