from __future__ import annotations

import pytest

from bert_thor.data.text.sentences import LONGEST_SENTENCE, cut_line, paragraph_sentences, split_sentences


@pytest.mark.parametrize(
    ("paragraph", "sentences"),
    (
        ("One e.g. two. Three", ["One e.g. two.", "Three"]),
        (
            "Parameters\n----------\nx : int\n    The size.\ny : int",
            ["Parameters ----------", "x : int", "The size.", "y : int"],
        ),
        (">>> a = 1\n>>> a\n1", [">>> a = 1", ">>> a 1"]),
        ("- first\n- second\n  more", ["- first", "- second", "more"]),
        (":param x: size\n:returns: it", [":param x: size", ":returns: it"]),
    ),
)
def test_sentences_of_a_paragraph(paragraph: str, sentences: list[str]) -> None:
    assert split_sentences(paragraph) == sentences


def test_a_line_is_cut_at_sentence_ends_and_then_at_white_space() -> None:
    assert cut_line("One. Two! three") == ["One.", "Two! three"]
    words = "Word " * 10_000
    pieces = cut_line(f"First. {words}")
    assert pieces[0] == "First." and " ".join(pieces[1:]) == words.strip()
    assert all(len(piece) <= 1000 for piece in pieces)


def test_what_has_no_white_space_is_cut_too() -> None:
    pieces = cut_line("acgt" * 1_000_000)
    assert "".join(pieces) == "acgt" * 1_000_000 and all(len(piece) <= 1000 for piece in pieces)


def test_a_paragraph_without_sentence_ends_is_cut_too() -> None:
    text = "word " * LONGEST_SENTENCE
    pieces = paragraph_sentences(f"It begins. {text}")
    assert " ".join(pieces) == f"It begins. {text.strip()}" and max(map(len, pieces)) <= 1000
    assert paragraph_sentences("One. Two.") == split_sentences("One. Two.")
