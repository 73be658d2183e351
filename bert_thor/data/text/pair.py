"""What a row is made of."""

from __future__ import annotations

from typing import NamedTuple

Sentence = list[int]
"""Token numbers."""

Document = list[Sentence]


class Pair(NamedTuple):
    """Two segments of a row before masking."""

    a: list[int]
    b: list[int]
    is_random_next: bool
