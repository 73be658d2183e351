"""The cost of a preparation is that of the command, and what 20 GB needs follows from it."""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path

import pytest
from synthetic_data import synthetic_text

from bench import preparation
from bench.preparation import Cost

ONCE = Cost(text=100_000_000, dupe_factor=1, seconds=20.0, processor=36.0, largest=150_000_000, rows=250_000_000)
TENFOLD = Cost(text=100_000_000, dupe_factor=10, seconds=90.0, processor=180.0, largest=200_000_000, rows=2_500_000_000)


def test_rates_are_text_by_the_clock_and_by_processor_time() -> None:
    expected = "| 100 MB, vocabulary given | 20.0 s | 5.00 MB/s | 36.0 s | 5.56 MB/s | 150 MB |"
    assert ONCE.line(workers=2) == expected
    assert "`--dupe-factor 10` | 90.0 s | 1.11 MB/s | 180.0 s | 1.11 MB/s | 200 MB |" in TENFOLD.line(workers=2)


def test_what_20_gigabytes_need() -> None:
    trained = Cost(ONCE.text, 1, 40.0, 72.0, 400_000_000, ONCE.rows)
    assert preparation.needs([ONCE, TENFOLD], trained).strip().splitlines() == [
        "20 GB of text:",
        "",
        "|  | dupe factor 1 | dupe factor 10 |",
        "| --- | --- | --- |",
        "| processor time for the rows | 2.0 h | 10.0 h |",
        "| processor time for a vocabulary, at most | 2.0 h | 2.0 h |",
        "| hours of 16 CPUs for the rows | 0.1 | 0.6 |",
        "| memory | 0.15 GB per process | 0.20 GB per process |",
        "| disk for the rows | 50 GB | 500 GB |",
        "| disk meanwhile | 40 MB per worker | 400 MB per worker |",
    ]
    assert "| 20.0 s | | 36.0 s | | 400 MB |" in preparation.vocabulary_line(trained, ONCE)


def test_the_text_is_the_corpus_again_and_again_with_some_words_changed() -> None:
    documents = [["one two three.", "four five six seven."], ["eight nine ten."]]
    known = [word for document in documents for sentence in document for word in sentence.split()]
    lines = list(islice(preparation._lines(documents, known, random.Random(1)), 5 * 400))
    assert lines[2::5] == lines[4::5] == [""] * 400
    words, originals = " ".join(lines).split(), known * 400
    changed = sum(word != original for word, original in zip(words, originals)) / len(originals)
    assert len(words) == len(originals)
    assert 0.08 < changed < 0.12 and len(set(words)) > len(set(known))


def test_a_preparation_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "WORK", tmp_path)
    monkeypatch.setattr(preparation, "PIECES", 100)
    text = tmp_path / "text.txt"
    text.write_text(synthetic_text(40, seed=3))
    cost = preparation.prepare(text, 2, 1, None)
    assert cost.text == text.stat().st_size and cost.dupe_factor == 2
    assert cost.processor > 0 and cost.seconds > 0
    assert cost.largest > 20_000_000, "an interpreter with NumPy is larger than that"
    assert cost.rows == sum(file.stat().st_size for file in (tmp_path / "data").rglob("*.tfrecord")) > 0
    with pytest.raises(SystemExit, match="ended with status 1"):
        preparation.prepare(tmp_path / "missing.txt", 2, 1, None)
