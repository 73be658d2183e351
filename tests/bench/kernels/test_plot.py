"""The stored results can be drawn, and nothing is cut off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import bench

RESULTS = Path(str(bench.__file__)).parent / "results"


@pytest.fixture(autouse=True)
def matplotlib_is_there() -> None:
    pytest.importorskip("matplotlib")


def test_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench import style
    from bench.kernels.plot import SHOWN, plot
    from bench.kernels.results import Row

    limits = []
    monkeypatch.setattr(style, "limit_line", lambda axis, label: limits.append(axis))
    rows = [Row(**row) for row in json.loads((RESULTS / "kernels.json").read_text())["rows"]]
    plot(rows, tmp_path / "kernels.png")
    assert (tmp_path / "kernels.png").stat().st_size > 0 and len(SHOWN) <= 10
    largest = max(row.percent(name) for row in rows if row.name in SHOWN for name in row.seconds)
    assert limits and all(axis.get_xlim()[1] >= largest for axis in limits)
