"""The table says what is met, what is missed and by how much; what has no result is left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import bench
from bench.ascend.results import COLUMNS
from bench.ascend.results import Row as AscendRow
from bench.ascend.results import found as found_on_ascend
from bench.kernels.results import Row, found
from bench.targets import ASCEND, KERNELS, ONE_THREAD, Target, table

RESULTS = Path(str(bench.__file__)).parent / "results"


@pytest.mark.parametrize(
    ("value", "at_most", "verdict"),
    [
        (2.0, False, "yes"),
        (2.5, False, "yes"),
        (1.6, False, "missed by 25 %"),
        (2.0, True, "yes"),
        (1.5, True, "yes"),
        (3.0, True, "missed by 50 %"),
        (float("nan"), False, "missed by inf %"),
        (float("nan"), True, "missed by inf %"),
    ],
)
def test_met_or_missed(value: float, at_most: bool, verdict: str) -> None:
    text = table([Target("a", "ms", 2.0, at_most)], lambda _: [value])
    assert text.splitlines()[-1].endswith(f" {verdict} |")


def test_a_target_without_a_result_is_left_out() -> None:
    assert table([Target("a", "ms", 2.0)], lambda _: None) == ""


def row(threads: int, **seconds: float) -> Row:
    return Row("adam", "2x2", threads, "GB/s", 8.0, 4.0, seconds, 0.0, 9, False)


def test_the_best_peer_may_use_fewer_threads() -> None:
    rows = [row(1, ours=2.0, pytorch=3.0, openblas=5.0), row(2, ours=1.0, pytorch=4.0)]
    values = found(rows)
    assert values(Target("adam 2x2", ONE_THREAD, 1)) == (1.5,)
    assert values(Target("adam 2x2", "best peer / ours, 2 threads", 1)) == (3.0,)
    assert values(Target("adam 2x2", "% of the limit, 1 thread", 1)) == (100.0,)
    assert values(Target("adam 3x3", ONE_THREAD, 1)) is None


def test_every_target_has_a_stored_result() -> None:
    """A name in the table that no problem has would never be looked at."""
    kernels = [Row(**row) for row in json.loads((RESULTS / "kernels.json").read_text())["rows"]]
    assert all(found(kernels)(target) is not None for target in KERNELS)
    ascend = [AscendRow(**row) for row in json.loads((RESULTS / "ascend.json").read_text())["rows"]]
    values = found_on_ascend({row.name: row for row in ascend})
    assert all(len(values(target) or ()) == len(COLUMNS) for target in ASCEND)
