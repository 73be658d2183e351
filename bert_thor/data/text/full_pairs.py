"""Pairs that fill their rows, for `--pack`.

By the published rules a row ends with its document, one document in ten is cut to short rows, and a random next segment may be short:
of 128 tokens about a fifth is padding. Here a row still is one pair, so that attention never crosses from one pair to another and the
next-sentence label means what it says, but every pair has as many tokens as fit:

* the last row of a document begins early enough to be full, and so repeats some of the row before it;
* a random next segment is taken from a document, and from a place in it, that has as many tokens as are missing;
* text that is shorter than a row is always followed by a random next.

(MLPerf's later rounds put several pairs into one row, which needs attention that is masked by pair.)
"""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain
from typing import NamedTuple

from bert_thor.data.text.pair import Document, Pair
from bert_thor.data.text.random_numbers import below

_TRIES = 10


class _Text(NamedTuple):
    """A document as one run of tokens."""

    tokens: list[int]
    starts: list[int]  # of its sentences


class FullPairs:
    """Makes pairs of exactly `longest` tokens of documents; shorter only where no other document has as many as are missing."""

    def __init__(self, documents: Sequence[Document], longest: int) -> None:
        self._texts = [
            _Text(list(chain.from_iterable(document)), [0, *accumulate(map(len, document[:-1]))])
            for document in documents
        ]
        self._longest = longest
        by_length = sorted(range(len(documents)), key=lambda number: -len(self._texts[number].tokens))
        self._most_tokens = by_length[:2]
        self._made, self._random = 0, 0

    def of_document(self, number: int, generator: random.Random) -> Iterator[Pair]:
        """The pairs that begin in document `number`, in order."""
        text = self._texts[number]
        end_of_text, place = len(text.tokens), 0
        while place < end_of_text:
            begin, end = self._window(place, end_of_text)
            cut = self._cut(text, begin, end, generator)
            if self._follows(cut, begin, end, text, generator):
                yield Pair(text.tokens[begin:cut], text.tokens[cut:end], False)
                place = end if end == end_of_text else self._next_place(text, begin, end)
            else:
                first, last = (cut, end) if begin < place else (begin, cut)
                a = text.tokens[first:last]
                yield Pair(a, self._random_next(number, self._longest - len(a), generator), True)
                place = end_of_text if begin < place else cut

    def _window(self, place: int, end_of_text: int) -> tuple[int, int]:
        """The tokens of the next row; the last row of a text that is long enough begins before `place`."""
        begin = max(0, end_of_text - self._longest) if 0 < end_of_text - self._longest < place else place
        return begin, min(end_of_text, begin + self._longest)

    def _cut(self, text: _Text, begin: int, end: int, generator: random.Random) -> int:
        """A random sentence start inside the window; without one, its end if a second segment still fits, or else its middle."""
        first, stop = bisect_right(text.starts, begin), bisect_left(text.starts, end)
        if first < stop:
            return text.starts[first + below(stop - first, generator)]
        return end if end - begin < self._longest else begin + self._longest // 2

    def _follows(self, cut: int, begin: int, end: int, text: _Text, generator: random.Random) -> bool:
        """Whether b is what follows: never if the row would not be full or would be cut inside a sentence; otherwise the more often,
        the more random nexts there were, so that both labels stay near one half."""
        share = (self._random + 1) / (self._made + 2)
        place = bisect_left(text.starts, cut)
        is_sentence = cut < end and place < len(text.starts) and text.starts[place] == cut
        follows = is_sentence and end - begin == self._longest and generator.random() < share
        self._made += 1
        self._random += not follows
        return follows

    @staticmethod
    def _next_place(text: _Text, begin: int, end: int) -> int:
        """Where the next row begins: with the sentence that did not fit whole, unless it filled the row alone."""
        start = text.starts[bisect_right(text.starts, end) - 1]
        return start if start > begin else end

    def _random_next(self, number: int, length: int, generator: random.Random) -> list[int]:
        """`length` tokens of another document, from a random sentence on, or from its end."""
        for _ in range(_TRIES):
            other = below(len(self._texts), generator)
            if other != number and len(self._texts[other].tokens) >= length:
                break
        else:
            other = next(longest for longest in self._most_tokens if longest != number)
        text = self._texts[other]
        start = text.starts[below(len(text.starts), generator)]
        start = max(0, min(start, len(text.tokens) - length))
        return text.tokens[start : start + length]
