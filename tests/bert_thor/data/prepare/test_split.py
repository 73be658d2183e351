"""Which documents train, which are held out, and which are made into rows together."""

from __future__ import annotations

from pathlib import Path

import pytest

from bert_thor.data.errors import DataError
from bert_thor.data.prepare import split
from bert_thor.data.prepare.documents import Selection
from bert_thor.data.prepare.split import choose_held_out, held_out_groups, training_groups
from bert_thor.data.text.corpus import Part
from bert_thor.data.text.extent import Extent
from bert_thor.data.text.files import TextFile


def selection(total: int, held_out: int, wanted: bool, size: int = 1000) -> Selection:
    file = TextFile(Path("a.txt"), "a.txt", "sentences", "text", size)
    return Selection(Part((Extent(file, 0, size),)), total, frozenset(range(held_out)), wanted)


@pytest.mark.parametrize("fraction", (0.0, 0.01, 0.3, 0.99))
def test_documents_are_held_out_whole_and_two_at_least(fraction: float) -> None:
    counts = [3, 0, 50, 1]
    chosen = choose_held_out(counts, fraction, seed=1)
    assert all(max(numbers, default=-1) < count for numbers, count in zip(chosen, counts))
    expected = 0 if fraction == 0 else min(max(2, round(54 * fraction)), 52)
    assert sum(map(len, chosen)) == expected


def test_too_few_documents_are_refused() -> None:
    with pytest.raises(
        DataError, match="the source has 1 documents, but a random next sentence needs two: put a blank"
    ):
        choose_held_out([1], 0, seed=1)
    with pytest.raises(DataError, match=r"the source has 3 documents, .* two, also in held-out rows: .*held_out_frac"):
        choose_held_out([3], 0.05, seed=1)


def test_parts_with_too_few_documents_join_their_neighbours() -> None:
    parts = [selection(total, 1, wanted=False) for total in (2, 2, 5, 1, 3, 2)]
    assert training_groups(parts, fixed=False) == [tuple(parts[:2]), (parts[2],), tuple(parts[3:])]


def test_a_fixed_number_of_shards_with_too_few_documents_is_refused() -> None:
    parts = [selection(3, 1, wanted=False), selection(2, 1, wanted=False)]
    with pytest.raises(DataError, match=r"shard 1 of 2 has 1 training documents, .* needs two; set fewer shards"):
        training_groups(parts, fixed=True)
    assert training_groups(parts[:1], fixed=True) == [(parts[0],)]


def test_held_out_rows_are_several_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [selection(100, 10, wanted=True) for _ in range(10)]  # 100 bytes of held-out text in each
    assert held_out_groups(parts) == [tuple(parts)]
    monkeypatch.setattr(split, "_HELD_OUT_BYTES", 300)
    groups = held_out_groups([selection(100, 0, wanted=True), *parts])
    assert groups == [tuple(parts[:3]), tuple(parts[3:6]), tuple(parts[6:])]
