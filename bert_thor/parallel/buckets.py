"""Which tensors travel together: few large messages instead of many small ones."""

from __future__ import annotations

from collections.abc import Sequence

BUCKET_BYTES = 32 << 20
"""Bytes after which a bucket is closed: they hide the latency and can still overlap with the backward pass."""


def buckets(sizes: Sequence[int], limit: int) -> list[tuple[int, int]]:
    """Ranges [start, end) of consecutive tensors that travel together: each holds at most `limit` elements, or is one larger tensor.

    The range of the last tensors comes first: the backward pass finishes the gradients of the last layers before those of the
    first, so that their sum can start while it goes on.
    """
    ranges: list[tuple[int, int]] = []
    end, elements = len(sizes), 0
    for index in reversed(range(len(sizes))):
        if index < end - 1 and elements + sizes[index] > limit:
            ranges.append((index + 1, end))
            end, elements = index + 1, 0
        elements += sizes[index]
    return [*ranges, (0, end)] if sizes else []
