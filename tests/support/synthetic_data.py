"""Text that a small network can learn, and a data folder prepared from it: what tests and harnesses train on."""

from __future__ import annotations

import random
from pathlib import Path

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


def prepare_small(folder: Path, documents: int = 120) -> Path:
    """Prepare data with 100 word pieces at most and sequences of 32 tokens in `folder`; returns where it lies."""
    text, output = folder / "text.txt", folder / "data"
    text.write_text(synthetic_text(documents, seed=7), encoding="utf-8")
    prepare(
        PrepareConfig(
            output=output, source=(str(text),), vocab_size=100, max_seq_length=32, held_out_fraction=0.1, seed=1
        )
    )
    return output
