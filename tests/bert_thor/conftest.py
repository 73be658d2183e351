"""A small prepared data folder that the training and command-line tests share."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bert_thor.data.prepare import PrepareConfig, prepare

SYLLABLES = [
    "ba",
    "ce",
    "di",
    "fo",
    "gu",
    "ha",
    "je",
    "ki",
    "lo",
    "mu",
    "na",
    "pe",
    "qui",
    "ro",
    "su",
    "ta",
    "ve",
    "wi",
    "xo",
    "zu",
]
WORDS = [first + second + last for first in SYLLABLES for second in SYLLABLES[:5] for last in ("", "n")]


def synthetic_text(documents: int, seed: int) -> str:
    """Documents of sentences, one per line, in which each word follows from the one before with high probability."""
    generator = random.Random(seed)
    lines = []
    for _ in range(documents):
        for _ in range(generator.randint(4, 9)):
            start = generator.randrange(len(WORDS))
            lines.append(
                " ".join(WORDS[(start + k * (1 + start % 3)) % len(WORDS)] for k in range(generator.randint(5, 12)))
            )
        lines.append("")
    return "\n".join(lines)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data with 100 word pieces at most, sequences of 32 tokens."""
    folder = tmp_path_factory.mktemp("prepared")
    text = folder / "text.txt"
    text.write_text(synthetic_text(120, seed=7), encoding="utf-8")
    output = folder / "data"
    prepare(
        PrepareConfig(
            output=output, source=(str(text),), vocab_size=100, max_seq_length=32, held_out_fraction=0.1, seed=1
        )
    )
    return output
