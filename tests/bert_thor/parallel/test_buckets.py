"""Tensors travel together in their order, up to a limit, those of the last layers first."""

from __future__ import annotations

from bert_thor.parallel.buckets import buckets


def test_buckets_hold_consecutive_tensors_up_to_the_limit_from_the_last_on() -> None:
    assert buckets([1, 1, 9, 3, 3, 3], limit=6) == [(4, 6), (3, 4), (2, 3), (0, 2)]
    assert buckets([7], limit=6) == [(0, 1)] and buckets([], limit=6) == []


def test_every_tensor_is_in_one_bucket() -> None:
    sizes = [5, 1, 8, 2, 2, 2, 7, 3]
    ranges = buckets(sizes, limit=8)
    assert [index for start, end in reversed(ranges) for index in range(start, end)] == list(range(len(sizes)))
    assert all(sum(sizes[start:end]) <= 8 for start, end in ranges)
