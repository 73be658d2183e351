"""The basic tokenisation of uncased BERT: text to lower-case words, the input of WordPiece.

The rules (BERT and MLPerf, data preparation): drop NUL, U+FFFD and control characters (Unicode Cc and Cf); white space
(tab, line ends, Zs) separates words; so does every CJK ideograph, which is a word of its own; lower-case; decompose
(NFD) and drop accents (Mn); every punctuation character (ASCII symbols and Unicode P*) is a word of its own.
"""

from __future__ import annotations

import re
import unicodedata

_ASCII_WORDS = re.compile(r"[0-9a-z]+|[!-/:-@\[-`{-~]")
_ASCII_CONTROLS = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127))
_CJK = re.compile(
    "([\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002b73f\U0002b740-\U0002b81f\U0002b820-\U0002ceaf"
    "\uf900-\ufaff\U0002f800-\U0002fa1f])"
)
_WHITE_SPACE = "\t\n\r"


def basic_tokenize(text: str) -> list[str]:
    """The words of `text`; pure ASCII, nearly all of an English corpus, takes one regular expression."""
    if text.isascii():
        return _ASCII_WORDS.findall(text.translate(_ASCII_CONTROLS).lower())
    words: list[str] = []
    for word in _CJK.sub(r" \1 ", _clean(text)).split():
        words += _split_punctuation(_strip_accents(word.lower()))
    return words


def _clean(text: str) -> str:
    """Without control characters; every kind of space becomes U+0020."""
    kept = []
    for character in text:
        category = unicodedata.category(character)
        if character in _WHITE_SPACE or category == "Zs":
            kept.append(" ")
        elif category not in ("Cc", "Cf") and character not in "\0\ufffd":
            kept.append(character)
    return "".join(kept)


def _strip_accents(word: str) -> str:
    return "".join(
        [character for character in unicodedata.normalize("NFD", word) if unicodedata.category(character) != "Mn"]
    )


def _split_punctuation(word: str) -> list[str]:
    """Cut `word` around each punctuation character; white space that a normalisation brought in separates too."""
    spaced = "".join([f" {character} " if _is_punctuation(character) else character for character in word])
    return spaced.split()


def _is_punctuation(character: str) -> bool:
    if character.isascii():
        return character.isprintable() and not character.isalnum() and character != " "
    return unicodedata.category(character).startswith("P")
