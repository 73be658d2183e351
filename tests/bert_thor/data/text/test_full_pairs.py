"""Rows that are filled: how full they are, what of, and that their labels are right."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from bert_thor.data.text.full_pairs import FullPairs
from bert_thor.data.text.pair import Pair

LONGEST = 61


def documents(count: int, sentences: tuple[int, int], length: tuple[int, int]) -> list[list[list[int]]]:
    """Token = 100,000 * document + place in it."""
    generator = random.Random(1)
    made = []
    for number in range(count):
        place, document = 100_000 * number, []
        for _ in range(generator.randint(*sentences)):
            size = generator.randint(*length)
            document.append(list(range(place, place + size)))
            place += size
        made.append(document)
    return made


def pairs_of(texts: list[list[list[int]]], longest: int = LONGEST) -> list[list[Pair]]:
    full, generator = FullPairs(texts, longest), random.Random(2)
    return [list(full.of_document(number, generator)) for number in range(len(texts))]


def check(texts: list[list[list[int]]], made: list[list[Pair]]) -> None:
    """Segments are runs of one document; b follows a in the text, or comes from another document."""
    starts = {sentence[0] for document in texts for sentence in document}
    for number, pairs in enumerate(made):
        for pair in pairs:
            for segment in (pair.a, pair.b):
                assert segment and segment == list(range(segment[0], segment[0] + len(segment)))
            assert pair.a[0] // 100_000 == number
            if pair.is_random_next:
                assert pair.b[0] // 100_000 != number
            else:
                assert pair.b[0] == pair.a[-1] + 1 and pair.b[0] in starts


@pytest.mark.parametrize(
    ("sentences", "length"), (((10, 40), (3, 20)), ((3, 60), (1, 5)), ((5, 9), (20, 50)), ((4, 8), (70, 200)))
)
def test_every_row_is_full_and_every_token_is_used(sentences: tuple[int, int], length: tuple[int, int]) -> None:
    texts = documents(80, sentences, length)
    made = pairs_of(texts)
    check(texts, made)
    rows = [pair for pairs in made for pair in pairs]
    full = sum(len(pair.a) + len(pair.b) == LONGEST for pair in rows)
    assert full == len(rows)
    own = [
        {token for pair in pairs for token in (pair.a if pair.is_random_next else pair.a + pair.b)} for pairs in made
    ]
    used = sum(map(len, own)) / sum(len(sentence) for document in texts for sentence in document)
    assert used > 0.85


def test_both_labels_stay_near_one_half() -> None:
    texts = documents(300, (10, 40), (3, 20))
    rows = [pair for pairs in pairs_of(texts) for pair in pairs]
    share = sum(pair.is_random_next for pair in rows) / len(rows)
    assert abs(share - 0.5) < 0.05


def test_short_documents_are_filled_from_long_ones() -> None:
    short, long = documents(50, (1, 3), (2, 9)), documents(60, (30, 40), (5, 9))[50:]
    texts = [*short, *long]
    made = pairs_of(texts)
    check(texts, made)
    assert all(len(pair.a) + len(pair.b) == LONGEST for pairs in made for pair in pairs)


def test_where_all_documents_are_short_rows_are_as_full_as_can_be() -> None:
    texts = documents(10, (1, 2), (1, 4))
    made = pairs_of(texts)
    check(texts, made)
    assert all(pair.is_random_next for pairs in made for pair in pairs)
    assert all(made)


@pytest.mark.parametrize("length", (1, LONGEST - 1, LONGEST, LONGEST + 1, 3 * LONGEST))
def test_a_document_of_one_sentence(length: int) -> None:
    texts = [[list(range(length))], documents(2, (30, 40), (5, 9))[1]]
    made = pairs_of(texts)
    check(texts, made)
    counts = Counter(token for pair in made[0] for token in pair.a)
    assert len(counts) > 0.6 * length


def test_two_tokens_are_the_fewest() -> None:
    texts = documents(5, (3, 9), (1, 4))
    check(texts, pairs_of(texts, longest=5))
