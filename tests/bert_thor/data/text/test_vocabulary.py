from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bert_thor.data.errors import DataError
from bert_thor.data.text.vocabulary import SPECIAL_TOKENS, Vocabulary, count_words, read_vocabulary, train_vocabulary

TRAIN = """
import hashlib, sys
from bert_thor.data.text.vocabulary import count_words, train_vocabulary
text = " ".join(chr(97 + i % 26) + chr(97 + i // 26 % 26) + chr(97 + i * 7 % 26) + "ing" * (i % 3) for i in range(3000))
pieces = train_vocabulary(count_words([text + " Caf\\u00e9 \\u4f60\\u597d"]), 320).pieces
print(hashlib.sha256("\\n".join(pieces).encode()).hexdigest())
"""


def test_training_gives_the_same_pieces_in_every_process() -> None:
    """The counts are full of ties, which the library alone breaks differently from process to process."""
    runs = [
        subprocess.run(
            [sys.executable, "-c", TRAIN], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("0", "1", "2")
    ]
    assert len(set(runs)) == 1


def test_trained_vocabulary_has_the_size_the_special_tokens_and_covers_its_text() -> None:
    text = "the cats sat on the mats; the rats ate the cats' hats at noon, and the mice moaned and chanted in the dark"
    vocabulary = train_vocabulary(count_words([text] * 3), 64)
    assert len(vocabulary) == 64 and vocabulary.pieces[:5] == SPECIAL_TOKENS
    assert vocabulary.number("[UNK]") not in vocabulary.encode(text)
    assert "the" in vocabulary.pieces


def test_a_text_that_is_too_small_says_which_size_it_has() -> None:
    with pytest.raises(DataError, match=r"yields (\d+) word pieces, not 500; set the vocabulary size to \1"):
        train_vocabulary(Counter({"ab": 5, "abc": 3}), 500)


def test_written_and_read_again(tmp_path: Path) -> None:
    vocabulary = Vocabulary((*SPECIAL_TOKENS, "caf\u00e9", "##s", "\u4f60"))
    vocabulary.write(tmp_path / "vocab.txt")
    assert read_vocabulary(tmp_path / "vocab.txt") == vocabulary
    assert vocabulary.number("##s") == 6


@pytest.mark.parametrize(
    ("content", "reason"),
    (
        (b"", "has no"),
        (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n", r"has no \[MASK\]"),
        (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\na\n", "'a' more than once"),
        (b"[UNK]\n[PAD]\n[CLS]\n[SEP]\n[MASK]\n", r"starts with '\[UNK\]'"),
        (b"[PAD]\n\xff\n", "not UTF-8"),
    ),
)
def test_unusable_files_are_refused_with_their_name(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "vocab.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"vocab.txt: .*{reason}"):
        read_vocabulary(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read the vocabulary .*none\.txt: No such file"):
        read_vocabulary(tmp_path / "none.txt")
