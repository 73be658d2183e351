"""Masked-LM and next-sentence instances by the rules of BERT's and MLPerf's data preparation.

A document is a list of sentences, a sentence a list of token numbers. The random numbers are drawn from one
`random.Random` in the order of the published procedure (Devlin et al. 2019, appendix A.2; MLPerf training, BERT, data
preparation), so that the same documents, vocabulary and seed give the same rows as MLPerf's own script.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

Sentence = list[int]
Document = list[Sentence]

_RANDOM_DOCUMENT_TRIES = 10
_MASK_PROBABILITY, _KEEP_PROBABILITY = (
    0.8,
    0.5,
)  # 80 % [MASK]; of the rest half unchanged, half a random token: 80/10/10


class Instance(NamedTuple):
    """One training row before padding."""

    input_ids: list[int]  # [CLS] a [SEP] b [SEP], some tokens replaced
    segment_ids: list[int]  # 0 up to and with the first [SEP], then 1
    masked_lm_positions: list[int]  # ascending
    masked_lm_ids: list[int]  # the original tokens at these positions
    is_random_next: bool


@dataclass(frozen=True)
class InstanceRules:
    """The numbers behind the rules; probabilities in [0, 1], lengths in tokens."""

    max_seq_length: int
    max_predictions_per_seq: int
    masked_lm_prob: float
    short_seq_prob: float
    vocab_size: int
    cls_id: int
    sep_id: int
    mask_id: int


def create_instances(
    documents: list[Document], dupe_factor: int, rules: InstanceRules, generator: random.Random
) -> Iterator[Instance]:
    """All instances of `documents`, which are shuffled in place first; `dupe_factor` passes, each with other pairs and masks."""
    generator.shuffle(documents)
    for _ in range(dupe_factor):
        for number in range(len(documents)):
            yield from _document_instances(documents, number, rules, generator)


def _document_instances(
    documents: Sequence[Document], number: int, rules: InstanceRules, generator: random.Random
) -> Iterator[Instance]:
    """Fill chunks of whole sentences up to the target length and turn each into one instance."""
    document = documents[number]
    longest = rules.max_seq_length - 3  # room for [CLS] and two [SEP]
    target = longest
    if generator.random() < rules.short_seq_prob:
        target = generator.randint(2, longest)
    chunk: list[Sentence] = []
    length = position = 0
    while position < len(document):
        chunk.append(document[position])
        length += len(document[position])
        if position == len(document) - 1 or length >= target:
            pair = _split_chunk(chunk, documents, number, target, generator)
            _truncate_pair(pair.a, pair.b, longest, generator)
            yield _masked_instance(pair, rules, generator)
            position -= pair.displaced
            chunk, length = [], 0
        position += 1


class _Pair(NamedTuple):
    a: list[int]
    b: list[int]
    is_random_next: bool
    displaced: int  # sentences of the chunk that a random b took the place of; the next chunk starts with them


def _split_chunk(
    chunk: list[Sentence], documents: Sequence[Document], number: int, target: int, generator: random.Random
) -> _Pair:
    """Cut a chunk at a random sentence; half the time, and always if it is one sentence, b comes from another document."""
    cut = generator.randint(1, len(chunk) - 1) if len(chunk) >= 2 else 1
    a = _joined(chunk[:cut])
    if len(chunk) == 1 or generator.random() < 0.5:
        return _Pair(a, _random_next(documents, number, target - len(a), generator), True, len(chunk) - cut)
    return _Pair(a, _joined(chunk[cut:]), False, 0)


def _random_next(documents: Sequence[Document], number: int, length: int, generator: random.Random) -> list[int]:
    """Sentences from a random place of a random document other than `number` (unless ten tries find no other)."""
    for _ in range(_RANDOM_DOCUMENT_TRIES):
        other = generator.randint(0, len(documents) - 1)
        if other != number:
            break
    document = documents[other]
    b: list[int] = []
    for sentence in document[generator.randint(0, len(document) - 1) :]:
        b.extend(sentence)
        if len(b) >= length:
            break
    return b


def _joined(sentences: list[Sentence]) -> list[int]:
    return [token for sentence in sentences for token in sentence]


def _truncate_pair(a: list[int], b: list[int], longest: int, generator: random.Random) -> None:
    """Shorten the longer of the two (b, if equal) token by token, from a random end, until both fit into `longest`."""
    while len(a) + len(b) > longest:
        longer = a if len(a) > len(b) else b
        longer.pop(0 if generator.random() < 0.5 else -1)


def _masked_instance(pair: _Pair, rules: InstanceRules, generator: random.Random) -> Instance:
    """[CLS] a [SEP] b [SEP] with round(masked_lm_prob * length) tokens, at least 1, chosen for prediction."""
    tokens = [rules.cls_id, *pair.a, rules.sep_id, *pair.b, rules.sep_id]
    separator = len(pair.a) + 1
    candidates = [place for place in range(1, len(tokens) - 1) if place != separator]
    generator.shuffle(candidates)
    count = min(rules.max_predictions_per_seq, max(1, round(len(tokens) * rules.masked_lm_prob)))
    input_ids = list(tokens)
    chosen = candidates[:count]
    for place in chosen:
        input_ids[place] = _replacement(tokens[place], rules, generator)
    chosen.sort()
    segment_ids = [0] * (separator + 1) + [1] * (len(pair.b) + 1)
    return Instance(input_ids, segment_ids, chosen, [tokens[place] for place in chosen], pair.is_random_next)


def _replacement(token: int, rules: InstanceRules, generator: random.Random) -> int:
    """[MASK] for 80 % of the chosen tokens, the token itself for 10 %, a random entry of the vocabulary for 10 %."""
    if generator.random() < _MASK_PROBABILITY:
        return rules.mask_id
    if generator.random() < _KEEP_PROBABILITY:
        return token
    return generator.randint(0, rules.vocab_size - 1)
