"""Masked-LM and next-sentence instances by the rules of BERT's and MLPerf's data preparation.

A document is a list of sentences, a sentence a list of token numbers. The random numbers are drawn from one
`random.Random` in the order of the published procedure (Devlin et al. 2019, appendix A.2; MLPerf training, BERT, data
preparation), so that the same documents, vocabulary and seed give the same rows as MLPerf's own script.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Callable, NamedTuple

from bert_thor.data.errors import DataError
from bert_thor.data.text.full_pairs import FullPairs
from bert_thor.data.text.masking import Masking
from bert_thor.data.text.pair import Document, Pair, Sentence
from bert_thor.data.text.random_numbers import below, shuffle

_RANDOM_DOCUMENT_TRIES = 10


class Instance(NamedTuple):
    """One training row before padding."""

    input_ids: list[int]  # [CLS] a [SEP] b [SEP], some tokens replaced
    segment_ids: list[int]  # 0 up to and with the first [SEP], then 1
    masked_lm_positions: list[int]  # ascending
    masked_lm_ids: list[int]  # the original tokens at these positions
    is_random_next: bool


class Lengths(NamedTuple):
    """How long rows are, in tokens."""

    max_seq_length: int
    short_seq_prob: float  # share of the documents that are cut to a random shorter length; not if rows are filled
    fill: bool = False  # make every row as long as it can be, by the rules of `full_pairs`

    @property
    def longest(self) -> int:
        """Tokens of both segments: a row without [CLS] and two [SEP]."""
        return self.max_seq_length - 3


def create_instances(
    documents: list[Document], dupe_factor: int, lengths: Lengths, masking: Masking, generator: random.Random
) -> Iterator[list[Instance]]:
    """The instances of `documents`, which are shuffled in place first; `dupe_factor` passes, each with other pairs and masks.

    Yields those of one document at a time. Errors: DataError for fewer than two documents.
    """
    if len(documents) < 2:
        raise DataError(f"there is {len(documents)} document, but a random next sentence needs another one.")
    shuffle(documents, generator)
    pairs_of: Callable[[int, random.Random], Iterator[Pair]] = partial(_document_pairs, documents, lengths)
    if lengths.fill:
        pairs_of = FullPairs(documents, lengths.longest).of_document
    for _ in range(dupe_factor):
        for number in range(len(documents)):
            yield [_instance(pair, masking, generator) for pair in pairs_of(number, generator)]


def _document_pairs(
    documents: Sequence[Document], lengths: Lengths, number: int, generator: random.Random
) -> Iterator[Pair]:
    """Fill chunks of whole sentences up to the target length and turn each into one pair."""
    document, longest = documents[number], lengths.longest
    target = longest
    if generator.random() < lengths.short_seq_prob:
        target = 2 + below(longest - 1, generator)
    chunk: list[Sentence] = []
    length = position = 0
    last = len(document) - 1
    while position <= last:
        sentence = document[position]
        chunk.append(sentence)
        length += len(sentence)
        if position == last or length >= target:
            pair, displaced = _split_chunk(chunk, documents, number, target, generator)
            _truncate(pair.a, pair.b, longest, generator)
            yield pair
            position -= displaced
            chunk, length = [], 0
        position += 1


def _split_chunk(
    chunk: list[Sentence], documents: Sequence[Document], number: int, target: int, generator: random.Random
) -> tuple[Pair, int]:
    """Cut a chunk at a random sentence; half the time, and always if it is one sentence, b comes from another document.

    Returns how many sentences of the chunk a random b took the place of; the next chunk starts with them.
    """
    cut = 1 + below(len(chunk) - 1, generator) if len(chunk) >= 2 else 1
    a = _joined(chunk[:cut])
    if len(chunk) == 1 or generator.random() < 0.5:
        return Pair(a, _random_next(documents, number, target - len(a), generator), True), len(chunk) - cut
    return Pair(a, _joined(chunk[cut:]), False), 0


def _random_next(documents: Sequence[Document], number: int, length: int, generator: random.Random) -> list[int]:
    """Sentences from a random place of a random document other than `number`; the one after it if ten tries find no other.

    (The published script then takes the document itself, and calls its own text a random next.)
    """
    for _ in range(_RANDOM_DOCUMENT_TRIES):
        other = below(len(documents), generator)
        if other != number:
            break
    else:
        other = (number + 1) % len(documents)
    document = documents[other]
    b: list[int] = []
    for place in range(below(len(document), generator), len(document)):
        b += document[place]
        if len(b) >= length:
            break
    return b


def _joined(sentences: list[Sentence]) -> list[int]:
    tokens: list[int] = []
    for sentence in sentences:
        tokens += sentence
    return tokens


def _truncate(a: list[int], b: list[int], longest: int, generator: random.Random) -> None:
    """Shorten the longer of the two (b, if equal) token by token, from a random end, until both fit into `longest`."""
    draw = generator.random
    length_a, length_b, front_a, front_b = len(a), len(b), 0, 0
    while length_a + length_b > longest:
        if length_a > length_b:
            front_a += draw() < 0.5
            length_a -= 1
        else:
            front_b += draw() < 0.5
            length_b -= 1
    a[:] = a[front_a : front_a + length_a]
    b[:] = b[front_b : front_b + length_b]


def _instance(pair: Pair, masking: Masking, generator: random.Random) -> Instance:
    tokens = [masking.cls_id, *pair.a, masking.sep_id, *pair.b, masking.sep_id]
    separator = len(pair.a) + 1
    positions = masking.choose(tokens, separator, generator)
    input_ids = list(tokens)
    masking.replace(input_ids, positions, generator)
    positions.sort()
    segment_ids = [0] * (separator + 1) + [1] * (len(pair.b) + 1)
    return Instance(input_ids, segment_ids, positions, [tokens[place] for place in positions], pair.is_random_next)
