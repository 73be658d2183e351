"""A small prepared folder that the tests of this package share."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bert_thor.data.prepare import PrepareConfig, prepare
from bert_thor.data.records.manifest import Manifest

VOCAB_SIZE = 200


def small_text(documents: int, seed: int) -> str:
    """Documents of random words over a small alphabet, one sentence per line."""
    generator = random.Random(seed)
    words = ["".join(generator.choices("abcdefgh", k=generator.randint(1, 7))) for _ in range(400)]
    texts = []
    for _ in range(documents):
        sentences = (
            " ".join(generator.choices(words, k=generator.randint(2, 14))) for _ in range(generator.randint(2, 20))
        )
        texts.append(".\n".join(sentences) + ".\n")
    return "\n".join(texts)


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    for number in range(3):
        (folder / f"wiki-{number}.txt").write_text(small_text(20, number), "utf-8")
    return folder


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, text_folder: Path) -> tuple[Path, Manifest]:
    """A folder with three training files and a held-out file, and its manifest."""
    output = tmp_path_factory.mktemp("prepared") / "data"
    config = PrepareConfig(
        output,
        source=(str(text_folder),),
        vocab_size=VOCAB_SIZE,
        max_seq_length=32,
        held_out_fraction=0.1,
        dupe_factor=2,
        shards=3,
        workers=2,
    )
    return output, prepare(config)
