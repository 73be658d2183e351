"""Finding rows: a folder that `bert-thor prepare` wrote, MLPerf's folder of part files, or a single TFRecord
file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from bert_thor.data.errors import DataError
from bert_thor.data.records.manifest import MANIFEST, Manifest, read_manifest
from bert_thor.data.records.schema import Schema, read_schema

SPLITS = ("train", "held_out")


@dataclass(frozen=True)
class DataFolder:
    """The files of one split and what is known of their rows.

    Attributes:
        path: what was opened.
        files: the TFRecord files, sorted by name.
        schema: sizes of the columns.
        manifest: of a prepared folder; None for other data.
    """

    path: Path
    files: tuple[Path, ...]
    schema: Schema
    manifest: Optional[Manifest]

    def check_vocabulary(self, vocab_size: int) -> None:
        """DataError if the folder was prepared with a vocabulary of another size."""
        if self.manifest is not None and self.manifest.vocab_size != vocab_size:
            raise DataError(
                f"the data {self.path} has a vocabulary of {self.manifest.vocab_size} tokens, the model one of "
                f"{vocab_size}; set the model's vocab_size to {self.manifest.vocab_size}."
            )


def open_folder(path: Path, split: str = "train", schema_file: Optional[Path] = None) -> DataFolder:
    """Open one split of a data folder.

    A prepared folder (one with a manifest) has the splits "train" and "held_out". Anything else has one split, taken
    for "train" and "held_out" alike: the files whose name contains `tfrecord`, or the single file that `path` names.

    Args:
        path: the folder or file.
        split: "train" or "held_out".
        schema_file: the schema; default: `schema.json` in the folder.

    Errors: DataError if the path is missing or empty, has no TFRecord file, or its schema is missing or unsuitable.
    """
    if split not in SPLITS:
        raise DataError(f"the split is {split!r}, expected one of {', '.join(SPLITS)}.")
    if not path.exists():
        raise DataError(f"the data {path} does not exist; make it with `bert-thor prepare --output {path}`.")
    home = path if path.is_dir() else path.parent
    manifest = read_manifest(home) if path.is_dir() and (home / MANIFEST).exists() else None
    files = _split_files(path, split) if manifest else _tfrecord_files(path)
    schema = read_schema(schema_file or home / "schema.json")
    if manifest and schema != (made := Schema(manifest.max_seq_length, manifest.max_predictions_per_seq)):
        raise DataError(f"the schema says {schema}, but the data {path} was prepared with {made}.")
    return DataFolder(path, tuple(files), schema, manifest)


def _split_files(folder: Path, split: str) -> list[Path]:
    if not (folder / split).is_dir():
        raise DataError(f"the data {folder} has no {split} rows; prepare it with a held-out fraction above 0.")
    return _tfrecord_files(folder / split)


def _tfrecord_files(path: Path) -> list[Path]:
    """The file itself, or the files in the folder whose name contains `tfrecord`, sorted by name."""
    if path.is_file():
        return [path]
    files = sorted(
        (entry for entry in path.iterdir() if "tfrecord" in entry.name and entry.is_file()),
        key=lambda entry: entry.name,
    )
    if not files:
        raise DataError(f"the data {path} has no TFRecord file (a file with `tfrecord` in its name).")
    return files
