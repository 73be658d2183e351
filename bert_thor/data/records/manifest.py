"""`manifest.json`: what a prepared data folder holds and how it was made."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bert_thor.data.errors import DataError

MANIFEST = "manifest.json"
SHARE = "share.json"
"""In the place of a manifest, in a folder that one of several machines prepared."""

MANIFEST_VERSION = 1
_LARGEST_MANIFEST_BYTES = 1 << 24
_HASH_BLOCK = 1 << 20


@dataclass(frozen=True)
class FileEntry:
    """One file of the folder."""

    path: str  # relative to the folder, with /
    rows: int  # 0 for a file that holds no rows
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Unigram:
    """The baseline that a masked-LM accuracy is compared with: always predict the most frequent token of the training labels."""

    token_id: int
    token: str
    held_out_labels: int  # masked tokens in the held-out rows
    held_out_hits: int  # of these, how many are `token`
    held_out_accuracy: float  # hits / labels; 0 without held-out rows


@dataclass(frozen=True)
class Manifest:
    """Contents of `manifest.json`."""

    version: int
    source: list[str]
    seed: int
    vocab_size: int
    max_seq_length: int
    max_predictions_per_seq: int
    masked_lm_prob: float
    short_seq_prob: float
    dupe_factor: int
    documents: int
    held_out_documents: int
    text_sha256: str  # of the text before tokenisation
    unicode_version: str  # the tables that lower-casing and punctuation follow
    train_rows: int
    held_out_rows: int
    unigram: Unigram
    files: list[FileEntry]
    cased: bool = False
    whole_word_mask: bool = False
    pack: bool = False

    def to_json(self) -> str:
        """Text of the file; the same manifest gives the same bytes."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write `manifest.json`."""
    path.write_bytes(manifest.to_json().encode())


def file_entry(folder: Path, path: str, rows: int) -> FileEntry:
    """Describe a file that was written."""
    digest = hashlib.sha256()
    with open(folder / path, "rb") as file:
        while block := file.read(_HASH_BLOCK):
            digest.update(block)
        return FileEntry(path, rows, file.tell(), digest.hexdigest())


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest of a data folder. Errors: DataError naming the file and the reason."""
    path = folder / MANIFEST
    try:
        if path.stat().st_size > _LARGEST_MANIFEST_BYTES:
            raise DataError(f"{path}: larger than {_LARGEST_MANIFEST_BYTES} bytes; this is not a manifest.")
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: this is not JSON.") from None
    if not isinstance(document, dict) or document.get("version") != MANIFEST_VERSION:
        raise DataError(f"{path}: expected a manifest of version {MANIFEST_VERSION}; prepare the data again.")
    try:
        return manifest_of(document)
    except (TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path}: not a manifest: {error}.") from None


def manifest_of(document: dict[str, Any]) -> Manifest:
    """A manifest of what its JSON says. Errors: TypeError, KeyError or AttributeError if it says something else."""
    files = [FileEntry(**entry) for entry in document.pop("files")]
    manifest = Manifest(files=files, unigram=Unigram(**document.pop("unigram")), **document)
    for name in ("seed", "vocab_size", "max_seq_length", "max_predictions_per_seq", "train_rows", "held_out_rows"):
        if not isinstance(getattr(manifest, name), int):
            raise TypeError(f"{name} is not an integer")
    return manifest
