"""A WordPiece vocabulary from counted words.

Byte-pair encoding (Sennrich et al. 2016) over the characters of words: the pair of neighbouring pieces that occurs most often becomes a
piece, until there are enough. What the library `tokenizers` does when each word is repeated as often as it was counted, piece for
piece (`tests/bert_thor/data/text/test_word_piece_training.py` compares them), in a time that depends on the number of distinct words
alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush

CONTINUATION = "##"
"""Begins a piece that goes on with a word."""

_MIN_FREQUENCY = 2  # a pair of pieces is merged if it occurs at least this often

_Pair = tuple[int, int]
_Candidate = tuple[int, int, int, set[int]]  # -count, the two pieces of a pair, words that hold it


def train_pieces(words: Mapping[str, int], special: Iterable[str], size: int) -> list[str]:
    """At most `size` pieces: `special`, the characters inside words, the characters, then the merged pieces in their order.

    Ties go to the pair whose pieces came first. Fewer than `size` where no pair occurs twice any more.
    """
    inside = sorted({CONTINUATION + character for word in words for character in word[1:]})
    single = sorted({character for word in words for character in word})
    return _Training([*special, *inside, *single], words).run(size)


class _Training:
    """Words as lists of piece numbers, and how often each pair of neighbours occurs."""

    def __init__(self, pieces: list[str], words: Mapping[str, int]) -> None:
        self.pieces = list(dict.fromkeys(pieces))
        self.numbers = {piece: number for number, piece in enumerate(self.pieces)}
        self.counts = list(words.values())
        self.words = [
            [self.numbers[word[0]], *(self.numbers[CONTINUATION + character] for character in word[1:])]
            for word in words
        ]
        self.pair_counts: dict[_Pair, int] = {}
        self.queue: list[_Candidate] = []

    def run(self, size: int) -> list[str]:
        self._count_pairs()
        while len(self.pieces) < size and self.queue:
            count, first, second, holders = heappop(self.queue)
            now = self.pair_counts[first, second]
            if -count != now:  # it was counted before other merges took some of it
                heappush(self.queue, (-now, first, second, holders))
            elif now < _MIN_FREQUENCY:
                break
            else:
                self._merge(first, second, holders)
        return self.pieces

    def _count_pairs(self) -> None:
        holders: dict[_Pair, set[int]] = {}
        totals = self.pair_counts
        for index, (word, count) in enumerate(zip(self.words, self.counts)):
            for pair in zip(word, word[1:]):
                totals[pair] = totals.get(pair, 0) + count
                holders.setdefault(pair, set()).add(index)
        self.queue = [(-totals[pair], *pair, where) for pair, where in holders.items()]
        heapify(self.queue)

    def _merge(self, first: int, second: int, holders: set[int]) -> None:
        """Make one piece of a pair in the words that hold it, and queue the pairs that this brings about."""
        piece = self.pieces[first] + self.pieces[second].removeprefix(CONTINUATION)
        merged = self.numbers.setdefault(piece, len(self.pieces))
        if merged == len(self.pieces):
            self.pieces.append(piece)
        created: dict[_Pair, set[int]] = {}
        for index in holders:
            self._merge_in_word(index, first, second, merged, created)
        for pair, where in created.items():
            if self.pair_counts[pair] > 0:
                heappush(self.queue, (-self.pair_counts[pair], *pair, where))

    def _merge_in_word(self, index: int, first: int, second: int, merged: int, created: dict[_Pair, set[int]]) -> None:
        word, count, totals = self.words[index], self.counts[index], self.pair_counts
        place = 0
        while True:
            try:
                place = word.index(first, place, len(word) - 1)
            except ValueError:
                return
            if word[place + 1] != second:
                place += 1
                continue
            word[place : place + 2] = [merged]
            if place > 0:
                before = word[place - 1]
                totals[before, first] -= count
                pair = (before, merged)
                totals[pair] = totals.get(pair, 0) + count
                created.setdefault(pair, set()).add(index)
            place += 1
            if place < len(word):
                after = word[place]
                totals[second, after] -= count
                pair = (merged, after)
                totals[pair] = totals.get(pair, 0) + count
                created.setdefault(pair, set()).add(index)
