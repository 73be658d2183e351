"""Which tokens are chosen; what takes their place is tested on whole instances (test_instances.py)."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from bert_thor.data.text.masking import Masking

CONTINUES = bytes(token >= 50 for token in range(100))
MASKING = Masking(6, 0.15, vocab_size=100, cls_id=1, sep_id=2, mask_id=3)
WORDS = replace(MASKING, continues=CONTINUES)
TOKENS = [1, 10, 60, 61, 11, 12, 2, 62, 13, 63, 14, 15, 64, 65, 66, 2]
SEPARATOR = 6
WORD_PLACES = [{1, 2, 3}, {4}, {5}, {7}, {8, 9}, {10}, {11, 12, 13, 14}]


@pytest.mark.parametrize("masked_lm_prob", (0.01, 0.2, 0.4, 0.9))
def test_whole_words_are_chosen_as_long_as_they_fit(masked_lm_prob: float) -> None:
    """A piece that begins the second segment, cut off there, is a word of its own."""
    masking = replace(WORDS, masked_lm_prob=masked_lm_prob)
    limit = min(6, max(1, round(len(TOKENS) * masked_lm_prob)))
    for seed in range(300):
        chosen = set(masking.choose(TOKENS, SEPARATOR, random.Random(seed)))
        assert 1 <= len(chosen) <= limit
        words = [word for word in WORD_PLACES if word & chosen]
        assert set().union(*words) == chosen
        left = limit - len(chosen)
        assert not [word for word in WORD_PLACES if not word & chosen and len(word) <= left]


def test_every_word_is_chosen_equally_often_where_all_are_of_one_piece() -> None:
    tokens = [1, *range(10, 18), 2, *range(20, 28), 2]
    plain, words = Counter[int](), Counter[int]()
    for seed in range(3000):
        plain.update(MASKING.choose(tokens, 9, random.Random(seed)))
        words.update(WORDS.choose(tokens, 9, random.Random(seed)))
    assert plain == words
    assert sorted(plain) == [*range(1, 9), *range(10, 18)]
    expected = 3000 * 3 / 16
    assert all(abs(count - expected) <= 5 * expected**0.5 for count in plain.values())


def test_a_single_word_that_does_not_fit_is_chosen_in_part() -> None:
    tokens = [1, 10, *range(60, 80), 2, 2]
    assert WORDS.choose(tokens, 22, random.Random(0)) == [1, 2, 3, 4][: max(1, round(24 * 0.15))]
