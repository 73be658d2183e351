"""The simulator's benchmark: cases run as they are described, limits bind, and the figure shows what is stored."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import bench
from bench.ascend import __main__ as program
from bench.ascend.cases import F32, case, cases, ours
from bench.ascend.plot import SHOWN, plot
from bench.ascend.results import Row, measure
from bench.targets import ASCEND

RESULTS = Path(str(bench.__file__)).parent / "results"


def stored() -> dict[str, Row]:
    rows = [Row(**row) for row in json.loads((RESULTS / "ascend.json").read_text())["rows"]]
    return {row.name: row for row in rows}


def test_a_small_case_is_measured_against_the_limit_that_binds() -> None:
    x, values, vector = ((32, 64), F32), ((32,), F32), ((64,), F32)
    traced = ours("layer_norm", "layer_norm", x, vector, vector, x, values, values, eps=1e-12)
    size = float(4 * 32 * 64)

    def inputs() -> list[np.ndarray]:
        return [np.ones((32, 64), F32), np.ones(64, F32), np.zeros(64, F32)]

    row = measure(case("layer_norm", "32x64 float32", traced, inputs, size, 2 * size))
    assert row.limit == "bandwidth" and row.limit_cycles == 2 * size / 1200
    assert 0 < row.cycles <= row.worst <= row.all and row.percents[0] >= row.percents[1] >= row.percents[2] > 0


def test_targets_and_the_figure_name_cases_that_exist() -> None:
    names = {found.name for found in cases()}
    assert {target.name for target in ASCEND} <= names and set(SHOWN) <= names and len(SHOWN) <= 10
    assert {name for name in stored() if not name.startswith("mindspore ")} <= names


def test_stored_rows_of_other_sources_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "RESULTS", tmp_path / "ascend.json")
    rows = dict(list(stored().items())[:2])
    program.write(rows, "these sources")
    assert program.stored("these sources") == program.stored() == rows
    assert program.stored("others") == {}


def test_the_figure(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot(stored(), tmp_path / "ascend.png")
    assert (tmp_path / "ascend.png").stat().st_size > 0
