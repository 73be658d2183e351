"""The description of what was prepared: by one machine, or by each of several, merged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from bert_thor.data.prepare.row_files import WrittenRows
from bert_thor.data.records.manifest import FileEntry, Manifest, Unigram

TRAIN, HELD_OUT = "train", "held_out"


@dataclass
class Rows:
    """The files of rows that were written, and how often each token is to be predicted in them."""

    vocab_size: int
    files: list[FileEntry] = field(default_factory=list)
    label_counts: dict[str, npt.NDArray[np.int64]] = field(init=False)

    def __post_init__(self) -> None:
        self.label_counts = {split: np.zeros(self.vocab_size, np.int64) for split in (TRAIN, HELD_OUT)}

    def add(self, written: WrittenRows) -> None:
        """Add one file."""
        self.files.append(written.entry)
        self.label_counts[split_of(written.entry)] += written.label_counts

    def into(self, manifest: Manifest, pieces: tuple[str, ...], others: Iterable[FileEntry]) -> Manifest:
        """The manifest with these files, their rows and the unigram baseline; `others`: files that hold no rows."""
        files = sorted(self.files, key=lambda entry: (split_of(entry) != TRAIN, entry.path))
        rows = {split: sum(entry.rows for entry in files if split_of(entry) == split) for split in self.label_counts}
        return replace(
            manifest,
            train_rows=rows[TRAIN],
            held_out_rows=rows[HELD_OUT],
            unigram=self._unigram(pieces),
            files=[*files, *others],
        )

    def _unigram(self, pieces: tuple[str, ...]) -> Unigram:
        token = int(np.argmax(self.label_counts[TRAIN]))
        labels = int(self.label_counts[HELD_OUT].sum())
        hits = int(self.label_counts[HELD_OUT][token])
        return Unigram(token, pieces[token], labels, hits, hits / labels if labels else 0.0)


def split_of(entry: FileEntry) -> str:
    """The split that a file of rows belongs to: the folder that it lies in."""
    return entry.path.split("/")[0]
