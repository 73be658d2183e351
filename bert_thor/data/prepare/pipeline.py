"""Text in, a data folder out: vocabulary, sharded TFRecord files in MLPerf's form, held-out documents, manifest.

train/part-00000-of-000NN.tfrecord    held_out/part-00000-of-00001.tfrecord    vocab.txt    schema.json    manifest.json
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bert_thor.data.atomic_folder import atomic_folder
from bert_thor.data.errors import DataError
from bert_thor.data.prepare.config import PrepareConfig
from bert_thor.data.prepare.row_files import RowFile, RowWriter, Selection, Survey, WrittenRows, selected_words, survey
from bert_thor.data.records.manifest import MANIFEST, MANIFEST_VERSION, Manifest, Unigram, file_entry
from bert_thor.data.text.corpus import Part, text_parts
from bert_thor.data.text.vocabulary import Vocabulary, read_vocabulary, train_vocabulary
from bert_thor.data.workers import worker_pool

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def prepare(config: PrepareConfig) -> Manifest:
    """Write the data folder `config.output` and return its manifest; nothing is left behind if this fails or is interrupted.

    Errors: DataError for settings and texts that cannot be used, and for a disk that cannot be written.
    """
    try:
        with (
            atomic_folder(config.output) as folder,
            worker_pool(config.workers or os.cpu_count() or 1) as pool,
            _progress() as progress,
        ):
            return _Preparation(config, folder, pool, progress).run()
    except OSError as error:
        raise DataError(f"cannot write {config.output}: {error.strerror or error}; nothing was left there.") from error
    except BrokenProcessPool:
        raise DataError(
            "a worker process was killed, probably for lack of memory; set fewer workers, or more shards."
        ) from None


def _progress() -> Progress:
    return Progress(TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())


@dataclass(frozen=True)
class _Preparation:
    """The steps of `prepare`, in order."""

    config: PrepareConfig
    folder: Path
    pool: Executor
    progress: Progress

    def run(self) -> Manifest:
        """Text, split, vocabulary, rows, descriptions."""
        scratch = self.folder / "text"
        scratch.mkdir()
        parts = self._parts(scratch)
        surveys = self._map("counting documents", survey, parts)
        held_out = self._choose_held_out([found.documents for found in surveys])
        training = [Selection(part, numbers, wanted=False) for part, numbers in zip(parts, held_out)]
        vocabulary = self._vocabulary(training)
        vocabulary.write(self.folder / "vocab.txt")
        train, evaluation = self._write_rows(
            vocabulary, training, [Selection(part, numbers, True) for part, numbers in zip(parts, held_out)]
        )
        shutil.rmtree(scratch)
        return self._describe(vocabulary, surveys, sum(map(len, held_out)), train, evaluation)

    def _parts(self, scratch: Path) -> list[Part]:
        with self._step("reading text"):
            return text_parts(self.config.source, self.config.shards, self.config.prose, scratch, self.pool)

    def _choose_held_out(self, counts: list[int]) -> list[frozenset[int]]:
        """Numbers of the held-out documents in each part: a random sample of all documents, at least 1 unless the
        fraction is 0."""
        total = sum(counts)
        if total < 2:
            raise DataError(
                f"the source has {total} documents, but a random next sentence needs two; put a blank line between "
                "documents, or set prose for ordinary text."
            )
        chosen = 0
        if self.config.held_out_fraction > 0:
            chosen = min(max(1, round(total * self.config.held_out_fraction)), total - 1)
        sample = sorted(random.Random(self.config.seed).sample(range(total), chosen))
        ends = list(accumulate(counts))
        return [
            frozenset(number - (end - count) for number in sample if end - count <= number < end)
            for count, end in zip(counts, ends)
        ]

    def _vocabulary(self, training: list[Selection]) -> Vocabulary:
        if self.config.vocab_file is not None:
            return read_vocabulary(self.config.vocab_file)
        counts: Counter[str] = Counter()
        for words in self._map("counting words", selected_words, training):
            counts.update(words)
        with self._step("training vocabulary"):
            return train_vocabulary(counts, self.config.vocab_size)

    def _write_rows(
        self, vocabulary: Vocabulary, training: list[Selection], evaluation: list[Selection]
    ) -> tuple[list[WrittenRows], list[WrittenRows]]:
        """One training file per part; one held-out file for all, passed over once."""
        config = self.config
        writer = RowWriter(vocabulary.pieces, config.schema, config.masked_lm_prob, config.short_seq_prob, config.seed)
        files = [
            RowFile(
                self.folder,
                f"train/part-{number:05d}-of-{len(training):05d}.tfrecord",
                (selection,),
                config.dupe_factor,
            )
            for number, selection in enumerate(training)
        ]
        (self.folder / "train").mkdir()
        if any(selection.held_out for selection in evaluation):
            (self.folder / "held_out").mkdir()
            files.append(
                RowFile(self.folder, "held_out/part-00000-of-00001.tfrecord", tuple(evaluation), dupe_factor=1)
            )
        written = self._map("writing rows", writer, files)
        return written[: len(training)], written[len(training) :]

    def _describe(
        self,
        vocabulary: Vocabulary,
        surveys: list[Survey],
        held_out: int,
        train: list[WrittenRows],
        evaluation: list[WrittenRows],
    ) -> Manifest:
        config = self.config
        _write(self.folder / "schema.json", config.schema.to_json())
        others = [file_entry(self.folder, name, 0) for name in ("vocab.txt", "schema.json")]
        manifest = Manifest(
            version=MANIFEST_VERSION,
            source=list(config.source),
            seed=config.seed,
            vocab_size=len(vocabulary),
            max_seq_length=config.schema.max_seq_length,
            max_predictions_per_seq=config.schema.max_predictions_per_seq,
            masked_lm_prob=config.masked_lm_prob,
            short_seq_prob=config.short_seq_prob,
            dupe_factor=config.dupe_factor,
            documents=sum(found.documents for found in surveys),
            held_out_documents=held_out,
            text_sha256=hashlib.sha256(b"".join(found.sha256 for found in surveys)).hexdigest(),
            unicode_version=unicodedata.unidata_version,
            train_rows=sum(file.entry.rows for file in train),
            held_out_rows=sum(file.entry.rows for file in evaluation),
            unigram=_unigram(vocabulary, train, evaluation),
            files=[file.entry for file in train + evaluation] + others,
        )
        _write(self.folder / MANIFEST, manifest.to_json())
        return manifest

    def _map(self, description: str, function: Callable[[_Task], _Result], tasks: Sequence[_Task]) -> list[_Result]:
        """Results of `function` for all tasks, in their order, computed by the workers."""
        return list(self.progress.track(self.pool.map(function, tasks), total=len(tasks), description=description))

    @contextmanager
    def _step(self, description: str) -> Iterator[None]:
        task = self.progress.add_task(description, total=1)
        yield
        self.progress.advance(task)


def _write(path: Path, text: str) -> None:
    with open(path, "x", encoding="utf-8", newline="\n") as file:
        file.write(text)


def _unigram(vocabulary: Vocabulary, train: list[WrittenRows], evaluation: list[WrittenRows]) -> Unigram:
    token = int(np.argmax(sum(file.label_counts for file in train)))
    labels = int(sum(file.label_counts.sum() for file in evaluation))
    hits = int(sum(file.label_counts[token] for file in evaluation))
    return Unigram(token, vocabulary.pieces[token], labels, hits, hits / labels if labels else 0.0)
