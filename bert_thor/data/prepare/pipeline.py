"""Text in, a data folder out: vocabulary, sharded TFRecord files in MLPerf's form, held-out documents, manifest.

train/part-00000-of-000NN.tfrecord    held_out/part-00000-of-000NN.tfrecord    vocab.txt    schema.json    manifest.json
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import unicodedata
from collections import Counter
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Optional

from bert_thor.data.atomic_folder import atomic_folder, clear
from bert_thor.data.errors import DataError
from bert_thor.data.prepare.config import PrepareConfig
from bert_thor.data.prepare.display import Display, new_progress, warn
from bert_thor.data.prepare.documents import KEPT_LINES, Selection, Survey, WordCounter, survey
from bert_thor.data.prepare.finished import SCRATCH, Finished, RecordingWriter, count_finished
from bert_thor.data.prepare.result import HELD_OUT, TRAIN, Rows
from bert_thor.data.prepare.row_files import RowFile, RowWriter
from bert_thor.data.prepare.share import write_share
from bert_thor.data.prepare.split import choose_held_out, held_out_groups, training_groups
from bert_thor.data.records.manifest import (
    MANIFEST,
    MANIFEST_VERSION,
    Manifest,
    Unigram,
    file_entry,
    write_manifest,
)
from bert_thor.data.text.corpus import Part
from bert_thor.data.text.instances import Lengths
from bert_thor.data.text.masking import Masking
from bert_thor.data.text.vocabulary import Vocabulary, read_vocabulary, train_vocabulary
from bert_thor.data.workers import WorkerPool, worker_pool

_IRRELEVANT = ("output", "workers", "source")  # the same text may lie elsewhere
_TRAINED_WORDS = 500_000  # the most frequent ones; their pairs take about 0.7 GB


def prepare(config: PrepareConfig) -> Manifest:
    """Write the data folder `config.output` and return its manifest (with `part`, that of a share of it).

    If this fails or is interrupted after it finished a file of rows, what is done stays in a hidden folder beside the output, and
    the same call goes on from there; otherwise nothing is left behind.

    Errors: DataError for settings and texts that cannot be used, and for a disk that cannot be written.
    """
    try:
        with atomic_folder(config.output, worth_keeping=lambda folder: count_finished(folder) > 0) as folder:
            return _prepare_in(folder, config)
    except OSError as error:
        raise DataError(f"cannot write {config.output}: {error.strerror or error}.") from error


def _prepare_in(folder: Path, config: PrepareConfig) -> Manifest:
    try:
        with worker_pool(config.workers or os.cpu_count() or 1) as pool, new_progress() as progress:
            return _Preparation(config, folder, pool, Display(progress, pool)).run()
    except OSError as error:
        raise DataError(f"cannot write {config.output}: {error.strerror or error}; {_left(folder)}.") from error
    except BrokenProcessPool:
        raise DataError(
            f"a worker process was killed, probably for lack of memory; set fewer workers; {_left(folder)}."
        ) from None
    except (KeyboardInterrupt, SystemExit, DataError):
        if count_finished(folder):
            warn(f"stopped; {_left(folder)}.")
        raise


def _left(folder: Path) -> str:
    """What becomes of the folder in which the work was done."""
    finished = count_finished(folder)
    if not finished:
        return "nothing was left there"
    return f"{finished} finished files are kept in {folder}, and the same command goes on from them"


@dataclass(frozen=True)
class _Preparation:
    """The steps of `prepare`, in order."""

    config: PrepareConfig
    folder: Path
    pool: WorkerPool
    display: Display

    def run(self) -> Manifest:
        """Text, split, vocabulary, rows, descriptions."""
        if given := self._given_vocabulary():
            _check_case(given)
        parts = self._parts()
        surveys = self._survey(parts)
        held_out = choose_held_out(
            [found.documents for found in surveys], self.config.held_out_fraction, self.config.seed
        )
        pairs = list(zip(parts, surveys, held_out))
        training = [Selection(part, found.documents, numbers, wanted=False) for part, found, numbers in pairs]
        evaluation = [Selection(part, found.documents, numbers, wanted=True) for part, found, numbers in pairs]
        files = self._files(training, evaluation)
        key = self._key(surveys)
        finished = Finished(self.folder)
        finished.start(key)
        vocabulary = self._vocabulary(training)
        rows = self._write_rows(vocabulary, files, finished)
        manifest = self._describe(vocabulary, surveys, sum(map(len, evaluation)), rows)
        self._finish(key, manifest, rows)
        return manifest

    def _parts(self) -> list[Part]:
        scratch = self.folder / SCRATCH
        for name in ("text", "rows"):
            (scratch / name).mkdir(parents=True, exist_ok=True)
        clear(scratch / "rows")
        with self.display.step("reading text"):
            return self.config.text.parts(scratch / "text", self.pool.executor)

    def _survey(self, parts: list[Part]) -> list[Survey]:
        surveys = list(self.display.map("counting documents", survey, parts, sum(part.size for part in parts)))
        for line in [line for found in surveys for line in found.long_lines][:KEPT_LINES]:
            warn(str(line))
        if (more := sum(found.long_line_count for found in surveys) - KEPT_LINES) > 0:
            warn(f"{more} more lines are too long.")
        return surveys

    def _key(self, surveys: list[Survey]) -> str:
        """Stands for everything that decides the result."""
        settings = {name: value for name, value in asdict(self.config).items() if name not in _IRRELEVANT}
        given = self._given_vocabulary()
        settings["vocab_file"] = given and given.pieces
        share = settings.pop("part")
        settings["text"] = [found.sha256.hex() for found in surveys]
        settings["unicode"] = unicodedata.unidata_version
        shared = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()
        return f"{shared} {share}"

    def _vocabulary(self, training: list[Selection]) -> Vocabulary:
        path, cased = self.folder / "vocab.txt", self.config.cased
        if path.exists():
            return read_vocabulary(path, cased)
        vocabulary = self._given_vocabulary() or self._train_vocabulary(training)
        partial = self.folder / SCRATCH / "vocab.txt"
        partial.unlink(missing_ok=True)
        vocabulary.write(partial)
        os.replace(partial, path)
        return vocabulary

    def _given_vocabulary(self) -> Optional[Vocabulary]:
        file = self.config.vocab_file
        return None if file is None else read_vocabulary(file, self.config.cased)

    def _train_vocabulary(self, training: list[Selection]) -> Vocabulary:
        counts: Counter[str] = Counter()
        size = sum(selection.size for selection in training)
        for words in self.display.map("counting words", WordCounter(self.config.cased), training, size):
            counts.update(words)
            if len(counts) > 2 * _TRAINED_WORDS:
                counts = _most_frequent(counts)
        with self.display.step("training vocabulary"):
            return train_vocabulary(_most_frequent(counts), self.config.vocab_size, self.config.cased)

    def _files(self, training: list[Selection], evaluation: list[Selection]) -> list[RowFile]:
        """The files of rows; held-out documents are passed over once."""
        groups = {
            TRAIN: training_groups(training, self.config.text.has_fixed_parts),
            HELD_OUT: held_out_groups(evaluation),
        }
        return [
            RowFile(
                f"{split}/part-{number:05d}-of-{len(groups[split]):05d}.tfrecord",
                number,
                group,
                self.config.dupe_factor if split == TRAIN else 1,
            )
            for split in groups
            for number, group in enumerate(groups[split])
        ]

    def _write_rows(self, vocabulary: Vocabulary, files: list[RowFile], finished: Finished) -> Rows:
        share = self.config.share
        own = files[share.number - 1 :: share.of]
        rows, left = Rows(len(vocabulary)), []
        for file in own:
            (self.folder / file.path).parent.mkdir(exist_ok=True)
            if written := finished.load(file):
                rows.add(written)
            else:
                left.append(file)
        writer = RecordingWriter(self._writer(vocabulary), finished)
        for written in self.display.map("writing rows", writer, left, sum(file.size for file in left)):
            rows.add(written)
        return rows

    def _writer(self, vocabulary: Vocabulary) -> RowWriter:
        config = self.config
        masking = Masking(
            config.schema.max_predictions_per_seq,
            config.masked_lm_prob,
            vocab_size=len(vocabulary),
            cls_id=vocabulary.number("[CLS]"),
            sep_id=vocabulary.number("[SEP]"),
            mask_id=vocabulary.number("[MASK]"),
            continues=vocabulary.continues if config.whole_word_mask else None,
        )
        lengths = Lengths(config.max_seq_length, config.short_seq_prob, config.pack)
        scratch = self.folder / SCRATCH / "rows"
        return RowWriter(
            self.folder, scratch, vocabulary.pieces, config.cased, config.schema, lengths, masking, config.seed
        )

    def _describe(self, vocabulary: Vocabulary, surveys: Sequence[Survey], held_out: int, rows: Rows) -> Manifest:
        config = self.config
        (self.folder / "schema.json").write_text(config.schema.to_json(), "utf-8")
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
            train_rows=0,
            held_out_rows=0,
            unigram=Unigram(0, "", 0, 0, 0.0),
            files=[],
            cased=config.cased,
            whole_word_mask=config.whole_word_mask,
            pack=config.pack,
        )
        others = [file_entry(self.folder, name, 0) for name in ("vocab.txt", "schema.json")]
        return rows.into(manifest, vocabulary.pieces, others)

    def _finish(self, key: str, manifest: Manifest, rows: Rows) -> None:
        shutil.rmtree(self.folder / SCRATCH)
        for split in (TRAIN, HELD_OUT):
            with suppress(OSError):  # a share may have no file of a split
                (self.folder / split).rmdir()
        if self.config.part is None:
            write_manifest(self.folder / MANIFEST, manifest)
        else:
            write_share(self.folder, self.config.share, key.split()[0], manifest, rows)


def _most_frequent(counts: Counter[str]) -> Counter[str]:
    """The words that a vocabulary is trained on: memory does not grow with the text; ties go to the word that came first."""
    return counts if len(counts) <= _TRAINED_WORDS else Counter(dict(counts.most_common(_TRAINED_WORDS)))


def _check_case(vocabulary: Vocabulary) -> None:
    if vocabulary.has_capitals and not vocabulary.cased:
        warn("the vocabulary has capitals, but the text is lower-cased, so that it never uses them; set cased.")
    if vocabulary.cased and not vocabulary.has_capitals:
        warn(
            "the vocabulary has no capitals, but the text keeps them, so that every word with one is [UNK]; do not set cased."
        )
