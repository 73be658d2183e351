"""Which documents train and which are held out, and which of them become rows together."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from bert_thor.data.errors import DataError
from bert_thor.data.prepare.documents import Selection

FEWEST = 2
"""Documents that are made into rows together: a random next sentence comes from another document."""

_HELD_OUT_BYTES = 4 << 20  # of text in a held-out file, about


def choose_held_out(counts: Sequence[int], fraction: float, seed: int) -> list[frozenset[int]]:
    """Numbers of the held-out documents in each part, `counts` of documents: a random sample of all documents, of two at least unless
    the fraction is 0.

    Errors: DataError if there are not two documents to train on and, if some are held out, two of these.
    """
    total = sum(counts)
    needed = FEWEST if fraction == 0 else 2 * FEWEST
    if total < needed:
        remedy = "" if fraction == 0 else "; or hold out none (held_out_fraction 0)"
        raise DataError(
            f"the source has {total} documents, but a random next sentence needs two{'' if fraction == 0 else ', also in held-out rows'}: "
            f"put a blank line between documents, or set prose for ordinary text{remedy}."
        )
    chosen = 0 if fraction == 0 else min(max(FEWEST, round(total * fraction)), total - FEWEST)
    sample = sorted(random.Random(seed).sample(range(total), chosen))
    ends = list(accumulate(counts))
    return [
        frozenset(
            number - (end - count) for number in sample[bisect_left(sample, end - count) : bisect_left(sample, end)]
        )
        for count, end in zip(counts, ends)
    ]


def training_groups(selections: Sequence[Selection], fixed: bool) -> list[tuple[Selection, ...]]:
    """The training documents of each file to write.

    A part is a file; where the number of files is not fixed, parts with too few documents join those before or after them.

    Errors: DataError if the number is fixed and a part has too few documents.
    """
    if not fixed:
        return _together(selections, 0)
    for number, selection in enumerate(selections):
        if len(selection) < FEWEST:
            raise DataError(
                f"shard {number} of {len(selections)} has {len(selection)} training documents, but a random next sentence needs "
                "two; set fewer shards."
            )
    return [(selection,) for selection in selections]


def held_out_groups(selections: Sequence[Selection]) -> list[tuple[Selection, ...]]:
    """The held-out documents of each file to write: those of one part after another until there are about 4 MiB of text."""
    return _together([selection for selection in selections if len(selection)], _HELD_OUT_BYTES)


def _together(selections: Sequence[Selection], smallest: int) -> list[tuple[Selection, ...]]:
    """Neighbours put together until there are two documents and `smallest` bytes; what is left over joins the last group."""
    groups: list[list[Selection]] = []
    group: list[Selection] = []
    for selection in selections:
        group.append(selection)
        if sum(map(len, group)) >= FEWEST and sum(one.size for one in group) >= smallest:
            groups.append(group)
            group = []
    if groups and group:
        groups[-1] += group
    elif group:
        groups.append(group)
    return [tuple(group) for group in groups]
