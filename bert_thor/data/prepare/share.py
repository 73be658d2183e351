"""One machine's share of a preparation, and the merge of all shares into one data folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bert_thor.data.atomic_folder import atomic_folder
from bert_thor.data.errors import DataError
from bert_thor.data.prepare.config import Share
from bert_thor.data.prepare.result import HELD_OUT, TRAIN, Rows, split_of
from bert_thor.data.records.manifest import MANIFEST, SHARE, Manifest, manifest_of, write_manifest
from bert_thor.data.text.vocabulary import read_vocabulary

_LABELS = "label_counts.npz"


@dataclass(frozen=True)
class MergeConfig:
    """Makes one data folder of the shares that several machines prepared with `bert-thor prepare --part I/N`."""

    output: Path
    """Folder to create; must not exist or be empty."""

    parts: tuple[Path, ...]
    """The output folders of all N shares, in any order; files are linked where the file system allows it."""


def write_share(folder: Path, share: Share, key: str, manifest: Manifest, rows: Rows) -> None:
    """Describe a folder that holds one share; it has no manifest, so that nobody trains on it alone."""
    np.savez_compressed(folder / _LABELS, **rows.label_counts)
    document = {"share": share.number, "of": share.of, "key": key, "manifest": asdict(manifest)}
    (folder / SHARE).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")


def merge(config: MergeConfig) -> Manifest:
    """Write the data folder that one machine would have made, and return its manifest.

    Errors: DataError if a share is missing, damaged, given twice, or was made with other options or text.
    """
    shares = sorted((_Share.read(path) for path in config.parts), key=lambda share: share.number)
    _check(shares)
    try:
        with atomic_folder(config.output) as folder:
            return _merge(folder, shares)
    except OSError as error:
        raise DataError(f"cannot write {config.output}: {error.strerror or error}; nothing was left there.") from error


@dataclass(frozen=True)
class _Share:
    folder: Path
    number: int
    of: int
    key: str
    manifest: Manifest

    @staticmethod
    def read(folder: Path) -> _Share:
        try:
            document: Any = json.loads((folder / SHARE).read_bytes())
            return _Share(folder, document["share"], document["of"], document["key"], manifest_of(document["manifest"]))
        except OSError as error:
            raise DataError(
                f"{folder} holds no share ({SHARE}: {error.strerror}); give folders that `bert-thor prepare --part I/N` made."
            ) from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"{folder / SHARE} is damaged: {error}.") from None


def _check(shares: Sequence[_Share]) -> None:
    if not shares:
        raise DataError("there are no shares to merge; give the folders of all of them.")
    first = shares[0]
    for share in shares[1:]:
        if (share.key, share.of) != (first.key, first.of):
            raise DataError(f"{first.folder} and {share.folder} were made with different options or of different text.")
    found = [share.number for share in shares]
    missing = sorted(set(range(1, first.of + 1)) - set(found))
    if missing:
        raise DataError(f"share {missing[0]} of {first.of} is missing; give the folders of all {first.of} shares.")
    if len(found) != first.of:
        raise DataError(f"a share was given twice: {len(found)} folders for {first.of} shares.")


def _merge(folder: Path, shares: Sequence[_Share]) -> Manifest:
    first = shares[0]
    pieces = read_vocabulary(first.folder / "vocab.txt").pieces
    rows = Rows(len(pieces))
    others = [entry for entry in first.manifest.files if split_of(entry) not in (TRAIN, HELD_OUT)]
    for entry in others:
        _link(first.folder / entry.path, folder / entry.path)
    for share in shares:
        for entry in share.manifest.files:
            if split_of(entry) in (TRAIN, HELD_OUT):
                (folder / split_of(entry)).mkdir(exist_ok=True)
                _link(share.folder / entry.path, folder / entry.path)
                if (folder / entry.path).stat().st_size != entry.bytes:
                    raise DataError(
                        f"{share.folder / entry.path} does not have the {entry.bytes} bytes that it was written with."
                    )
                rows.files.append(entry)
        with np.load(share.folder / _LABELS, allow_pickle=False) as counts:
            for split in (TRAIN, HELD_OUT):
                rows.label_counts[split] += counts[split]
    manifest = rows.into(first.manifest, pieces, others)
    write_manifest(folder / MANIFEST, manifest)
    return manifest


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
