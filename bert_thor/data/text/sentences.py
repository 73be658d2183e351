"""Text to sentences."""

from __future__ import annotations

import re
from typing import Optional

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'`(\[])")
_UNDERLINE = re.compile(r"\W+")  # of a heading, which ends with it
_OWN_LINE = re.compile(r"\s*(>>>|\.\.\.|\.\. |[-*+] |:\w|\d+\. )")

LONGEST_SENTENCE = 1 << 14
"""Characters; a longer line of a text file is no sentence, and is cut into sentences."""

_PIECE = 1000  # characters of text that has no sentence ends

Document = list[str]
"""Its sentences."""


def split_sentences(paragraph: str) -> list[str]:
    """Cut a paragraph into sentences, one per line of code, list entry or change of indentation, white space normalised.

    Running text is cut after `.`, `!` or `?` where a capital letter, quotation mark or bracket follows.
    """
    runs: list[list[str]] = []
    indentation: Optional[int] = None  # of the line before, if that can go on
    for line in paragraph.splitlines():
        if not line.strip():
            continue
        depth = len(line) - len(line.lstrip())
        if depth != indentation or _OWN_LINE.match(line):
            runs.append([])
        runs[-1].append(line.strip())
        indentation = None if _UNDERLINE.fullmatch(line) else depth
    texts = (" ".join(" ".join(run).split()) for run in runs)
    return [sentence for text in texts for sentence in _SENTENCE_END.split(text)]


def paragraph_sentences(paragraph: str) -> list[str]:
    """The sentences of ordinary text; what is too long to be one is cut."""
    return [
        piece
        for sentence in split_sentences(paragraph)
        for piece in ([sentence] if len(sentence) <= LONGEST_SENTENCE else _pieces(sentence))
    ]


def cut_line(line: str) -> list[str]:
    """Cut a line that is too long to be a sentence: at sentence ends, and what is still too long at white space."""
    return [
        piece
        for sentence in _SENTENCE_END.split(line)
        for piece in ([sentence] if len(sentence) <= LONGEST_SENTENCE else _pieces(sentence))
    ]


def _pieces(sentence: str) -> list[str]:
    """Runs of words of at most `_PIECE` characters; a longer word is cut too."""
    runs: list[list[str]] = []
    length = _PIECE
    for word in sentence.split():
        for start in range(0, len(word), _PIECE):
            piece = word[start : start + _PIECE]
            length += len(piece) + 1
            if length > _PIECE:
                runs.append([])
                length = len(piece)
            runs[-1].append(piece)
    return [" ".join(run) for run in runs]
