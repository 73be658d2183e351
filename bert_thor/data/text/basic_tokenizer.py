"""The basic tokenisation of BERT: text to words, the input of WordPiece.

The rules (BERT and MLPerf, data preparation): drop NUL, U+FFFD and control characters (Unicode Cc and Cf); white space
(tab, line ends, Zs) separates words; so does every CJK ideograph, which is a word of its own; every punctuation
character (ASCII symbols and Unicode P*) is a word of its own. Uncased text is also lower-cased, decomposed (NFD) and
stripped of accents (Mn).
"""

from __future__ import annotations

import re
import unicodedata

_ASCII_WORDS = re.compile(r"[0-9a-z]+|[!-/:-@\[-`{-~]")
_ASCII_CASED_WORDS = re.compile(r"[0-9A-Za-z]+|[!-/:-@\[-`{-~]")
_ASCII_CONTROLS = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127))
_CJK = re.compile(
    "[\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002b73f\U0002b740-\U0002b81f\U0002b820-\U0002ceaf"
    "\uf900-\ufaff\U0002f800-\U0002fa1f]"
)


def basic_tokenize(text: str, cased: bool = False) -> list[str]:
    """The words of `text`; pure ASCII, nearly all of an English corpus, takes one regular expression."""
    if text.isascii():
        plain = text.translate(_ASCII_CONTROLS)
        return _ASCII_CASED_WORDS.findall(plain) if cased else _ASCII_WORDS.findall(plain.lower())
    text = _CLEAN.apply(text)
    if cased:
        return _PUNCTUATION.apply(text).split()
    return _BARE_PUNCTUATION.apply(unicodedata.normalize("NFD", text.lower())).split()


class _Replacements(dict[str, str]):
    """What takes the place of each character; filled as they occur."""

    def apply(self, text: str) -> str:
        """Replace every kind of character at once: a line has few kinds, and `str.replace` is faster than a loop over characters."""
        for character in set(text):
            replacement = self[character]
            if replacement != character:
                text = text.replace(character, replacement)
        return text

    def __missing__(self, character: str) -> str:
        self[character] = self.replacement(character, unicodedata.category(character))
        return self[character]

    def replacement(self, character: str, category: str) -> str:
        """What takes the place of `character`: itself, nothing, a space, or itself between spaces."""
        raise NotImplementedError


class _Clean(_Replacements):
    """No control characters; every kind of space is U+0020; ideographs stand apart."""

    def replacement(self, character: str, category: str) -> str:
        if character in "\t\n\r" or category == "Zs":
            return " "
        if category in ("Cc", "Cf") or character == "\ufffd":
            return ""
        return f" {character} " if _CJK.match(character) else character


class _Punctuation(_Replacements):
    """Punctuation stands apart."""

    def replacement(self, character: str, category: str) -> str:
        return f" {character} " if _is_punctuation(character, category) else character


class _BarePunctuation(_Punctuation):
    """Punctuation stands apart; accents are dropped."""

    def replacement(self, character: str, category: str) -> str:
        return "" if category == "Mn" else super().replacement(character, category)


def _is_punctuation(character: str, category: str) -> bool:
    if character.isascii():
        return character.isprintable() and not character.isalnum() and character != " "
    return category.startswith("P")


_CLEAN, _PUNCTUATION, _BARE_PUNCTUATION = _Clean(), _Punctuation(), _BarePunctuation()
