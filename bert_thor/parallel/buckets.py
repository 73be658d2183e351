"""Which tensors travel together: few large messages instead of many small ones."""

from __future__ import annotations

from collections.abc import Sequence

BUCKET_ELEMENTS = 8 << 20
"""Elements after which a bucket is closed: 32 MiB of float32, which hides the latency and can still overlap with the backward pass."""


def buckets(sizes: Sequence[int], limit: int = BUCKET_ELEMENTS) -> list[tuple[int, int]]:
    """Ranges [start, end) of consecutive tensors that travel together: each holds at most `limit` elements, or is one larger tensor."""
    ranges: list[tuple[int, int]] = []
    start = elements = 0
    for index, size in enumerate(sizes):
        if index > start and elements + size > limit:
            ranges.append((start, index))
            start, elements = index, 0
        elements += size
    return [*ranges, (start, len(sizes))] if sizes else []
