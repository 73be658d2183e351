"""Cased text and rare characters; test_parity.py compares uncased text with the published tokenizer."""

from __future__ import annotations

import pytest

from bert_thor.data.text.basic_tokenizer import basic_tokenize


@pytest.mark.parametrize(
    ("text", "uncased", "cased"),
    (
        ("It's 5pm,OK?", ["it", "'", "s", "5pm", ",", "ok", "?"], ["It", "'", "s", "5pm", ",", "OK", "?"]),
        ("Caf\u00e9 \u00c9T\u00c9", ["cafe", "ete"], ["Caf\u00e9", "\u00c9T\u00c9"]),
        ("na\u0308i\u200bve \u2013 \u4f60\u597d!", ["naive", "\u2013", "\u4f60", "\u597d", "!"], None),
        ("a\u00a0b\x00c\ufffd\td\u2028e", ["a", "bc", "d", "e"], ["a", "bc", "d", "e"]),
        ("\u039f\u0394\u039f\u03a3", ["\u03bf\u03b4\u03bf\u03c2"], ["\u039f\u0394\u039f\u03a3"]),
        ("", [], []),
        (" \n", [], []),
    ),
)
def test_words(text: str, uncased: list[str], cased: list[str] | None) -> None:
    assert basic_tokenize(text) == uncased
    if cased is not None:
        assert basic_tokenize(text, cased=True) == cased
