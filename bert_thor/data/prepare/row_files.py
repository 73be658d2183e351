"""From the documents of a part to a file of rows; runs in worker processes."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bert_thor.data.records.example import encode_example
from bert_thor.data.records.manifest import FileEntry, file_entry
from bert_thor.data.records.schema import Schema
from bert_thor.data.records.tfrecord import RecordWriter
from bert_thor.data.text.corpus import Part
from bert_thor.data.text.instances import Instance, InstanceRules, create_instances
from bert_thor.data.text.sentences import Document
from bert_thor.data.text.vocabulary import Vocabulary, count_words


@dataclass(frozen=True)
class Selection:
    """The documents of a part that are held out, or those that are not."""

    part: Part
    held_out: frozenset[int]  # numbers of the held-out documents in the part
    wanted: bool  # True: the held-out documents; False: the others

    def documents(self) -> Iterator[Document]:
        """The selected documents, in order."""
        return (
            document
            for number, document in enumerate(self.part.documents())
            if (number in self.held_out) == self.wanted
        )


@dataclass(frozen=True)
class Survey:
    """What is in a part."""

    documents: int
    sha256: bytes  # of the text


def survey(part: Part) -> Survey:
    """Count the documents of a part."""
    digest, count = hashlib.sha256(), 0
    for document in part.documents():
        digest.update("\n".join(document).encode() + b"\n\n")
        count += 1
    return Survey(count, digest.digest())


def selected_words(selection: Selection) -> Counter[str]:
    """How often each word occurs in the selected documents."""
    return count_words(sentence for document in selection.documents() for sentence in document)


@dataclass(frozen=True)
class RowFile:
    """A TFRecord file to write.

    Attributes:
        folder, path: where; `path` is relative to `folder`.
        selections: the documents.
        dupe_factor: passes over them.
    """

    folder: Path
    path: str
    selections: tuple[Selection, ...]
    dupe_factor: int


@dataclass(frozen=True)
class WrittenRows:
    """A TFRecord file that was written."""

    entry: FileEntry
    label_counts: npt.NDArray[np.int64]  # [vocab_size] how often each token is to be predicted


@dataclass(frozen=True)
class RowWriter:
    """Writes files of rows; each file starts the random numbers anew from `seed`, as MLPerf does for each of its parts."""

    pieces: tuple[str, ...]
    schema: Schema
    masked_lm_prob: float
    short_seq_prob: float
    seed: int

    def __call__(self, file: RowFile) -> WrittenRows:
        """Write one file: all instances of its documents, shuffled."""
        vocabulary = Vocabulary(self.pieces)
        generator = random.Random(self.seed)
        documents = _encode(file.selections, vocabulary)
        labels: list[int] = []
        rows: list[bytes] = []
        for instance in create_instances(documents, file.dupe_factor, self._rules(vocabulary), generator):
            labels += instance.masked_lm_ids
            rows.append(encode_instance(instance, self.schema))
        generator.shuffle(rows)
        with RecordWriter(file.folder / file.path) as writer:
            for row in rows:
                writer.write(row)
        return WrittenRows(
            file_entry(file.folder, file.path, len(rows)), np.bincount(labels, minlength=len(vocabulary))
        )

    def _rules(self, vocabulary: Vocabulary) -> InstanceRules:
        return InstanceRules(
            max_seq_length=self.schema.max_seq_length,
            max_predictions_per_seq=self.schema.max_predictions_per_seq,
            masked_lm_prob=self.masked_lm_prob,
            short_seq_prob=self.short_seq_prob,
            vocab_size=len(vocabulary),
            cls_id=vocabulary.number("[CLS]"),
            sep_id=vocabulary.number("[SEP]"),
            mask_id=vocabulary.number("[MASK]"),
        )


def _encode(selections: Iterable[Selection], vocabulary: Vocabulary) -> list[list[list[int]]]:
    """Documents as token numbers; sentences and documents without tokens are dropped."""
    documents = []
    for selection in selections:
        for document in selection.documents():
            sentences = [numbers for sentence in document if (numbers := vocabulary.encode(sentence))]
            if sentences:
                documents.append(sentences)
    return documents


def encode_instance(instance: Instance, schema: Schema) -> bytes:
    """A row as a tf.train.Example: every column padded with zeros to its length."""
    padding = [0] * (schema.max_seq_length - len(instance.input_ids))
    free = [0] * (schema.max_predictions_per_seq - len(instance.masked_lm_ids))
    weights = np.zeros(schema.max_predictions_per_seq, np.float32)
    weights[: len(instance.masked_lm_ids)] = 1
    return encode_example(
        {
            "input_ids": instance.input_ids + padding,
            "input_mask": [1] * len(instance.input_ids) + padding,
            "segment_ids": instance.segment_ids + padding,
            "masked_lm_positions": instance.masked_lm_positions + free,
            "masked_lm_ids": instance.masked_lm_ids + free,
            "masked_lm_weights": weights,
            "next_sentence_labels": [int(instance.is_random_next)],
        }
    )
