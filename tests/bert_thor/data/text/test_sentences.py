from __future__ import annotations

import pytest

from bert_thor.data.text.sentences import split_sentences


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
