"""Text to sentences."""

from __future__ import annotations

import re
from typing import Optional

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'`(\[])")
_UNDERLINE = re.compile(r"\W+")  # of a heading, which ends with it
_OWN_LINE = re.compile(r"\s*(>>>|\.\.\.|\.\. |[-*+] |:\w|\d+\. )")

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
