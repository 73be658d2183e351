from __future__ import annotations

import random

from bert_thor.data.text.random_numbers import below, shuffle


def test_the_order_and_the_random_numbers_are_those_of_the_standard_library() -> None:
    for length in (*range(70), 127, 128, 129, 1000):
        expected, found = list(range(length)), list(range(length))
        first, second = random.Random(length), random.Random(length)
        first.shuffle(expected)
        shuffle(found, second)
        assert found == expected and first.getstate() == second.getstate()


def test_numbers_below_a_limit_are_those_of_the_standard_library() -> None:
    first, second = random.Random(1), random.Random(1)
    for limit in (*range(1, 70), 127, 128, 129, 30_522):
        assert [below(limit, second) for _ in range(50)] == [first.randint(0, limit - 1) for _ in range(50)]
    assert first.getstate() == second.getstate()
