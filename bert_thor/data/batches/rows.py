"""What training and evaluation read: rows of TFRecord files as batches of NumPy arrays.

Row order: the rows of all files, files sorted by name, are numbered 0 to N-1. Epoch e is a permutation of these
numbers that is a pure function of (seed, e), and training reads the epochs one after another as one endless sequence.
Global batch k takes places [kB, (k+1)B) of that sequence and rank r of R the r-th of R equal slices of them. So the
global batch does not depend on the number of ranks, no rank runs out before another, no row is dropped at the end of
an epoch, and training resumes at any place at no cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Optional

import numpy as np
import numpy.typing as npt

from bert_thor.data.batches.order import permuted
from bert_thor.data.batches.prefetch import Prefetch
from bert_thor.data.errors import DataError, RecordError
from bert_thor.data.records.example import Decoder, RowError
from bert_thor.data.records.folder import DataFolder
from bert_thor.data.records.record_file import open_files
from bert_thor.data.records.schema import Batch

Numbers = npt.NDArray[np.int64]


class Rows:
    """Random access to the rows of a data folder; each is verified (checksums, protobuf, ranges) whenever it is read.

    Attributes:
        folder: where the rows come from.
        skipped: damaged rows met so far, with `skip_damaged`; one that is met again counts again.

    Args:
        folder: an opened data folder.
        vocab_size: size of the model's vocabulary; must be the folder's, if the folder says so.
        first: use only the first rows, in file order (MLPerf v0.7 evaluates on the first 10,000 training rows).
        skip_damaged: put the next sound row in the place of a damaged one and count it, instead of raising RecordError;
            a file is used up to its first record whose length cannot be trusted.

    Errors: DataError for a vocabulary of another size, files that cannot be read, and no rows; RecordError for damage.
    """

    def __init__(
        self, folder: DataFolder, vocab_size: int, first: Optional[int] = None, skip_damaged: bool = False
    ) -> None:
        folder.check_vocabulary(vocab_size)
        self.folder, self.skipped, self._skip_damaged = folder, 0, skip_damaged
        self._decoder = Decoder(folder.schema, vocab_size)
        self._files = open_files(folder.files, skip_damaged)
        self.skipped += sum(file.damage is not None for file in self._files)
        self._ends = np.cumsum([len(file) for file in self._files])
        self._count = int(self._ends[-1]) if first is None else min(first, int(self._ends[-1]))
        if self._count < 1:
            raise DataError(f"the data {folder.path} has no rows.")

    def __len__(self) -> int:
        return self._count

    def read(self, numbers: Numbers) -> Batch:
        """The rows with these numbers (each in [0, len)), in this order."""
        try:
            return self._read(numbers)
        except RecordError:
            if not self._skip_damaged:
                raise
        return self._read(np.array([self._sound(int(number)) for number in numbers]))

    def _read(self, numbers: Numbers) -> Batch:
        files = np.searchsorted(self._ends, numbers, side="right")
        places = [
            (self._files[file], int(number - self._ends[file]) + len(self._files[file]))
            for file, number in zip(files, numbers)
        ]
        records = [file.read(record) for file, record in places]
        try:
            return self._decoder.decode(records)
        except RowError as error:
            file, record = places[error.row]
            raise RecordError(str(file.path), record, error.reason) from None

    def _sound(self, number: int) -> int:
        """`number`, or the first after it (in file order, from the end to the start) whose row is not damaged."""
        for candidate in range(number, number + self._count):
            try:
                self._read(np.array([candidate % self._count]))
            except RecordError:
                self.skipped += 1
            else:
                return candidate % self._count
        raise DataError(f"every row of {self.folder.path} is damaged.")


class TrainingBatches(Iterator[Batch]):
    """The endless sequence of one rank's share of the global batches; read ahead by a background thread.

    Attributes:
        position: global rows delivered to all ranks so far; give it as `position` to go on from here.

    Args:
        rows: the training rows.
        global_batch: rows in a step over all ranks, B.
        seed: decides the order of the rows.
        position: global rows that were delivered before.
        rank, ranks: this process is number `rank` of `ranks`; B must be a multiple of `ranks`.
        shuffle: False: every epoch in file order.
        ahead: batches to keep ready; 0: no thread.

    Errors: DataError if B is larger than the number of rows or not a multiple of `ranks`; `__next__` raises RecordError.
    """

    def __init__(
        self,
        rows: Rows,
        global_batch: int,
        seed: int,
        *,
        position: int = 0,
        rank: int = 0,
        ranks: int = 1,
        shuffle: bool = True,
        ahead: int = 4,
    ) -> None:
        if not 1 <= global_batch <= len(rows):
            raise DataError(
                f"the global batch is {global_batch} rows, expected 1 to {len(rows)}, the rows of the data."
            )
        if position < 0:
            raise DataError(f"the position is {position} rows, expected 0 or more.")
        if not 0 <= rank < ranks or global_batch % ranks:
            raise DataError(
                f"the global batch of {global_batch} rows cannot be shared out equally to {ranks} ranks (rank {rank})."
            )
        self._rows, self._global_batch, self._seed, self._shuffle = rows, global_batch, seed, shuffle
        self._slice = slice(rank * (global_batch // ranks), (rank + 1) * (global_batch // ranks))
        self.position = position
        self._batches = Prefetch(self._read(position), ahead)

    def __next__(self) -> Batch:
        batch = next(self._batches)
        self.position += self._global_batch
        return batch

    def close(self) -> None:
        """Stop reading ahead."""
        self._batches.close()

    def _read(self, position: int) -> Iterator[Batch]:
        while True:
            places = np.arange(position, position + self._global_batch)[self._slice]
            yield self._rows.read(row_numbers(places, len(self._rows), self._seed, self._shuffle))
            position += self._global_batch


def row_numbers(places: Numbers, rows: int, seed: int, shuffle: bool = True) -> Numbers:
    """Numbers of the rows at `places` of the endless sequence of epochs over `rows` rows."""
    epochs, numbers = np.divmod(places, rows)
    if shuffle:
        for epoch in np.unique(epochs):
            here = epochs == epoch
            numbers[here] = permuted(numbers[here], rows, seed, int(epoch))
    return numbers


class EvaluationBatch(NamedTuple):
    """A batch of full size of which the first `rows` rows are real; the others are zeros, so their weights are 0 too."""

    batch: Batch
    rows: int


def evaluation_batches(rows: Rows, batch_size: int) -> Iterator[EvaluationBatch]:
    """All rows once, in order; the last batch is filled up with rows of zeros."""
    if batch_size < 1:
        raise DataError(f"the evaluation batch size is {batch_size}, expected at least 1.")
    for start in range(0, len(rows), batch_size):
        batch = rows.read(np.arange(start, min(start + batch_size, len(rows))))
        count = len(batch.input_ids)
        yield EvaluationBatch(Batch._make(_padded(column, batch_size) for column in batch), count)


def _padded(column: npt.NDArray[np.generic], rows: int) -> npt.NDArray[np.generic]:
    return np.pad(column, [(0, rows - len(column))] + [(0, 0)] * (column.ndim - 1))


def most_frequent_label(rows: Rows, sample: int = 10_000) -> int:
    """The token that is to be predicted most often: the manifest's, or else counted over the first `sample` rows."""
    manifest = rows.folder.manifest
    if manifest is not None:
        return manifest.unigram.token_id
    counts = np.zeros(1, np.int64)
    for batch, _ in evaluation_batches(rows, min(256, len(rows))):
        labels = np.bincount(batch.masked_lm_ids[batch.masked_lm_weights > 0])
        counts = np.pad(counts, (0, max(0, len(labels) - len(counts))))
        counts[: len(labels)] += labels
        sample -= len(batch.input_ids)
        if sample <= 0:
            break
    return int(counts.argmax())
