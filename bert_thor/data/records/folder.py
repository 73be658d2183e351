"""Finding rows: a folder that `bert-thor prepare` wrote, MLPerf's folder of part files under whatever names, or a single TFRecord file."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from bert_thor.data.errors import DataError
from bert_thor.data.records.content import Content, look_at, unpacked
from bert_thor.data.records.example import infer_schema
from bert_thor.data.records.manifest import MANIFEST, SHARE, Manifest, read_manifest
from bert_thor.data.records.record_file import RecordFile
from bert_thor.data.records.schema import Schema, read_schema
from bert_thor.data.text.vocabulary import fits_table

SPLITS = ("train", "held_out")


@dataclass(frozen=True)
class DataFolder:
    """The files of one split and what is known of their rows.

    Attributes:
        path: what was opened.
        files: the TFRecord files, sorted by name.
        schema: sizes of the columns.
        manifest: of a prepared folder; None for other data.
        is_held_out: whether training never sees these rows; not known of data without a manifest.
    """

    path: Path
    files: tuple[Path, ...]
    schema: Schema
    manifest: Optional[Manifest]
    is_held_out: bool = False

    def check_vocabulary(self, vocab_size: int) -> None:
        """DataError if the folder was prepared with a vocabulary that a table of `vocab_size` rows is not for."""
        if self.manifest is not None and not fits_table(self.manifest.vocab_size, vocab_size):
            raise DataError(
                f"the data {self.path} has a vocabulary of {self.manifest.vocab_size} tokens, the model one of "
                f"{vocab_size}; set the model's vocab_size to {self.manifest.vocab_size}."
            )


def open_folder(
    path: Path, split: str = "train", schema_file: Optional[Path] = None, quiet: bool = False
) -> DataFolder:
    """Open one split of a data folder.

    A prepared folder (one with a manifest) has the splits "train" and "held_out". Anything else has one split, taken
    for "train" and "held_out" alike: the single file that `path` names, or the files of the folder that hold TFRecords,
    whatever they are called (`part-00000-of-00500`, `eval_10k`, `x.tf_record`, `x.TFRecord.gz`). Other files beside
    them, such as `.md5`, are left alone. Files that are packed with gzip are unpacked into the cache.

    Args:
        path: the folder or file.
        split: "train" or "held_out".
        schema_file: the schema; default: `schema.json` in the folder, or else what the first row says, which is
            printed unless `quiet`.

    Errors: DataError if the path is missing or empty, has no TFRecord file, or its schema is unsuitable.
    """
    if split not in SPLITS:
        raise DataError(f"the split is {split!r}, expected one of {', '.join(SPLITS)}.")
    if not path.exists():
        raise DataError(f"the data {path} does not exist; make it with `bert-thor prepare --output {path}`.")
    if (path / SHARE).exists():
        raise DataError(f"{path} is a share of a preparation; make data of all of them with `bert-thor merge`.")
    home = path if path.is_dir() else path.parent
    manifest = read_manifest(home) if path.is_dir() and (home / MANIFEST).exists() else None
    files = [unpacked(file) for file in (_split_files(path, split) if manifest else _record_files(path))]
    schema = _schema(home, schema_file, files, quiet)
    if manifest and schema != (made := Schema(manifest.max_seq_length, manifest.max_predictions_per_seq)):
        raise DataError(f"the schema says {schema}, but the data {path} was prepared with {made}.")
    return DataFolder(path, tuple(files), schema, manifest, manifest is not None and split == "held_out")


def _schema(home: Path, schema_file: Optional[Path], files: list[Path], quiet: bool) -> Schema:
    """The schema that is given, that lies in the folder, or that the first row has."""
    if schema_file is not None or (home / "schema.json").exists():
        return read_schema(schema_file or home / "schema.json")
    for file in map(RecordFile, files):
        if len(file):
            schema = infer_schema(file.read(0), str(file.path))
            if not quiet:
                print(
                    f"{home} has no schema.json; its first row has {schema.max_seq_length} tokens and "
                    f"{schema.max_predictions_per_seq} predictions.",
                    file=sys.stderr,
                )
            return schema
    raise DataError(f"{home} has no schema.json, and its files have no rows to tell what they hold.")


def _split_files(folder: Path, split: str) -> list[Path]:
    if not (folder / split).is_dir():
        raise DataError(f"the data {folder} has no {split} rows; prepare it with a held-out fraction above 0.")
    return _record_files(folder / split)


def _record_files(path: Path) -> list[Path]:
    """The file itself, or the files in the folder that hold TFRecords, sorted by name.

    One that is called a TFRecord file but does not begin as one is damaged, and is taken, so that its reader says so;
    unless it is text.
    """
    if path.is_file():
        return [path]
    files = []
    for entry in sorted(path.iterdir(), key=lambda entry: entry.name):
        if entry.name.startswith(".") or not entry.is_file():
            continue
        content = look_at(entry)
        named = "tfrecord" in entry.name.lower().replace("_", "")
        if content is Content.RECORDS or (named and content is not Content.TEXT):
            files.append(entry)
    if not files:
        raise DataError(f"the data {path} has no TFRecord file.")
    return files
