"""Tensors travel together in their order, up to a limit."""

from __future__ import annotations

from bert_thor.parallel.buckets import buckets


def test_buckets_hold_consecutive_tensors_up_to_the_limit() -> None:
    assert buckets([3, 3, 3, 9, 1, 1], limit=6) == [(0, 2), (2, 3), (3, 4), (4, 6)]
    assert buckets([7], limit=6) == [(0, 1)] and buckets([]) == []
