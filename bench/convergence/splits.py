"""Training, validation and test documents that cannot leak into one another.

A document goes to the test set by a hash of its text, before anything else is decided. `bert-thor prepare` divides the others into training
and held-out documents; the latter are the validation set, which tuning reads. The vocabulary is trained without the test documents.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bert_thor.data.prepare import PrepareConfig, prepare
from bert_thor.data.text.corpus import Source
from bert_thor.data.workers import worker_pool

TEST_ONE_IN = 20
"""One document in so many is a test document."""


@dataclass(frozen=True)
class Size:
    """Shape of the rows of a stage."""

    vocab_size: int
    max_seq_length: int


SIZES = {"tiny": Size(4096, 64), "mini": Size(8192, 128)}


def prepare_splits(work: Path, stage: str, source: Sequence[str]) -> Path:
    """The folder with `main` (training and validation) and `test` data of a stage; made if it is not there."""
    folder, size = work / f"data-{stage}", SIZES[stage]
    texts = work / "texts"
    if not (texts / "complete").is_file():
        _divide(texts, source)
    shared: dict[str, Any] = {"max_seq_length": size.max_seq_length, "seed": 12345}
    if not (folder / "main").is_dir():
        prepare(PrepareConfig(folder / "main", (str(texts / "main.txt"),), vocab_size=size.vocab_size, **shared))
    if not (folder / "test").is_dir():
        vocabulary = folder / "main" / "vocab.txt"
        settings: dict[str, Any] = {"vocab_file": vocabulary, "held_out_fraction": 0.0}
        prepare(PrepareConfig(folder / "test", (str(texts / "test.txt"),), **settings, **shared))
    return folder


def checksums(work: Path) -> dict[str, str]:
    """SHA-256 of the texts that the prepared data of each size were made from: training and validation, then test."""
    found = {}
    for stage in SIZES:
        manifests = [work / f"data-{stage}" / part / "manifest.json" for part in ("main", "test")]
        if all(path.is_file() for path in manifests):
            texts = [json.loads(path.read_text(encoding="utf-8"))["text_sha256"] for path in manifests]
            found[stage] = hashlib.sha256("".join(texts).encode()).hexdigest()
    return found


def _divide(texts: Path, source: Sequence[str]) -> None:
    texts.mkdir(parents=True, exist_ok=True)
    with (
        open(texts / "main.txt", "w", encoding="utf-8") as main,
        open(texts / "test.txt", "w", encoding="utf-8") as test,
    ):
        for document in _documents(source):
            text = "\n".join(document)
            digest = hashlib.sha256(text.encode()).digest()
            file = test if digest[0] * 256 + digest[1] < 65536 // TEST_ONE_IN else main
            file.write(f"{text}\n\n")
    (texts / "complete").touch()


def _documents(source: Sequence[str]) -> Iterator[list[str]]:
    with TemporaryDirectory() as scratch, worker_pool(1) as pool:
        for part in Source(source).parts(Path(scratch), pool.executor):
            yield from part.documents()
