"""From documents to a file of rows; runs in worker processes."""

from __future__ import annotations

import os
import random
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Union

import numpy as np
import numpy.typing as npt

from bert_thor.data.errors import DataError
from bert_thor.data.prepare.documents import Selection
from bert_thor.data.prepare.split import FEWEST
from bert_thor.data.records.example import encode_example, varints
from bert_thor.data.records.manifest import FileEntry, file_entry
from bert_thor.data.records.schema import Schema
from bert_thor.data.records.tfrecord import RecordWriter, frame
from bert_thor.data.text.instances import Instance, Lengths, create_instances
from bert_thor.data.text.masking import Masking
from bert_thor.data.text.pair import Document
from bert_thor.data.text.random_numbers import shuffle
from bert_thor.data.text.vocabulary import Vocabulary
from bert_thor.data.workers import flush_work, report_work

_BATCH_BYTES = 64 << 20  # of text that is made into rows together; a larger file is made of several such batches
_COUNTED_TOGETHER = 1 << 16  # labels
_WRITE_BYTES = 1 << 20


@dataclass(frozen=True)
class RowFile:
    """A TFRecord file to write.

    Attributes:
        path: relative to the folder that is prepared.
        number: of the file in its split, from 0.
        selections: the documents.
        dupe_factor: passes over them.
    """

    path: str
    number: int
    selections: tuple[Selection, ...]
    dupe_factor: int

    @property
    def size(self) -> float:
        """Bytes of text, about."""
        return sum(selection.size for selection in self.selections)

    @property
    def documents(self) -> int:
        """How many there are."""
        return sum(map(len, self.selections))

    def batches(self) -> Iterator[tuple[int, Iterator[list[str]]]]:
        """The documents that are made into rows together: one batch, or several of at most about 64 MiB with as many documents each.

        Yields the number of documents and the documents.
        """
        total = self.documents
        count = max(1, min(-(-int(self.size) // _BATCH_BYTES), total // FEWEST))
        documents = (document for selection in self.selections for document in selection.documents())
        for number in range(count):
            length = total * (number + 1) // count - total * number // count
            yield length, islice(documents, length)


@dataclass(frozen=True)
class WrittenRows:
    """A TFRecord file that was written."""

    entry: FileEntry
    label_counts: npt.NDArray[np.int64]  # [vocab_size] how often each token is to be predicted


@dataclass(frozen=True)
class RowWriter:
    """Writes files of rows.

    Attributes:
        folder: what paths are relative to.
        scratch: a folder for the rows before they are shuffled.
        pieces, cased: the vocabulary.
        schema, lengths, masking: the rules.
        seed: of the whole work.
    """

    folder: Path
    scratch: Path
    pieces: tuple[str, ...]
    cased: bool
    schema: Schema
    lengths: Lengths
    masking: Masking
    seed: int

    def __call__(self, file: RowFile) -> WrittenRows:
        """Write one file, whole or not at all: all instances of its documents, shuffled."""
        partial = self.scratch / file.path.replace("/", "-")
        vocabulary = Vocabulary(self.pieces, self.cased)
        labels = np.zeros(len(vocabulary), np.int64)
        rows = 0
        with RecordWriter(partial) as writer:
            for number, (count, texts) in enumerate(file.batches()):
                generator = random.Random(file_seed(self.seed, file, number))
                work = file.size * count / max(1, file.documents)
                documents = _encode(texts, vocabulary)
                if len(documents) < FEWEST:
                    raise DataError(
                        f"{file.path} would have {len(documents)} documents with words, but a random next sentence needs two; "
                        "set fewer shards, or add text."
                    )
                with _ShuffledRecords(self.scratch) as records:
                    self._make_rows(documents, file.dupe_factor, work, generator, records, labels)
                    rows += records.copy(writer, generator)
        flush_work()
        entry = file_entry(self.scratch, partial.name, rows)
        os.replace(partial, self.folder / file.path)
        return WrittenRows(replace(entry, path=file.path), labels)

    def _make_rows(
        self,
        documents: list[Document],
        dupe_factor: int,
        work: float,
        generator: random.Random,
        records: _ShuffledRecords,
        labels: npt.NDArray[np.int64],
    ) -> None:
        """All instances of documents that are prepared together; their labels are added to `labels`."""
        share = work / (dupe_factor * len(documents))
        encode = RowEncoder(self.schema, len(labels))
        seen: list[int] = []
        for instances in create_instances(documents, dupe_factor, self.lengths, self.masking, generator):
            for instance in instances:
                records.add(encode(instance))
                seen += instance.masked_lm_ids
            if len(seen) >= _COUNTED_TOGETHER:
                labels += np.bincount(seen, minlength=len(labels))
                seen.clear()
            report_work(share)
        labels += np.bincount(np.array(seen, np.int64), minlength=len(labels))


def file_seed(seed: int, file: RowFile, batch: int) -> Union[int, str]:
    """What the random numbers of a file start from: the seed itself for the first of each split, so that one text file is prepared
    as MLPerf prepares it; for the others a text that names seed, file and batch, which `random.Random` hashes.
    """
    return seed if file.number == 0 and batch == 0 else f"{seed} {file.path} {batch}"


class _ShuffledRecords:
    """Records that are copied in random order: they lie in a file meanwhile, and memory holds their places."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, buffering=_WRITE_BYTES)  # noqa: SIM115 - closed in __exit__
        self._ends = array("Q", (0,))

    def __enter__(self) -> _ShuffledRecords:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def add(self, data: bytes) -> None:
        """Append one record."""
        record = frame(data)
        self._file.write(record)
        self._ends.append(self._ends[-1] + len(record))

    def copy(self, writer: RecordWriter, generator: random.Random) -> int:
        """Write all records in random order; returns how many there are."""
        self._file.flush()
        descriptor, ends = self._file.fileno(), self._ends
        order = array("Q", range(len(ends) - 1))
        shuffle(order, generator)
        for number in order:
            start = ends[number]
            writer.write_framed(os.pread(descriptor, ends[number + 1] - start, start))
        return len(order)


def _encode(texts: Iterable[list[str]], vocabulary: Vocabulary) -> list[Document]:
    """Documents as token numbers; sentences and documents without tokens are dropped."""
    documents = []
    for text in texts:
        sentences = [numbers for sentence in text if (numbers := vocabulary.encode(sentence))]
        if sentences:
            documents.append(sentences)
    return documents


@dataclass(frozen=True)
class RowEncoder:
    """Makes a tf.train.Example of an instance."""

    schema: Schema
    vocab_size: int

    def __call__(self, instance: Instance) -> bytes:
        """A row; every column is padded with zeros to its length."""
        stored = varints(max(self.vocab_size, self.schema.max_seq_length))
        tokens, predictions = len(instance.input_ids), len(instance.masked_lm_ids)
        padding = bytes(self.schema.max_seq_length - tokens)
        free = bytes(self.schema.max_predictions_per_seq - predictions)
        return encode_example(
            {
                "input_ids": b"".join([stored[token] for token in instance.input_ids]) + padding,
                "input_mask": b"\1" * tokens + padding,
                "segment_ids": bytes(instance.segment_ids) + padding,
                "masked_lm_positions": b"".join([stored[place] for place in instance.masked_lm_positions]) + free,
                "masked_lm_ids": b"".join([stored[token] for token in instance.masked_lm_ids]) + free,
                "masked_lm_weights": _weights(predictions, self.schema.max_predictions_per_seq),
                "next_sentence_labels": b"\1" if instance.is_random_next else b"\0",
            }
        )


@lru_cache(maxsize=1 << 10)
def _weights(predictions: int, length: int) -> npt.NDArray[np.float32]:
    weights = np.zeros(length, np.float32)
    weights[:predictions] = 1
    return weights
