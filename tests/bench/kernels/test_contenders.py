"""Every operation is timed on its large problems, by ours and by the peers that are installed, on the same numbers."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import bench
from bench.kernels import contenders
from bench.kernels.plot import SHOWN
from bench.steps import results as steps
from bench.targets import KERNELS
from bert_thor.kernels.arrays import CACHE_LINE
from bert_thor.kernels.cases import Problem, large, operations, small

FOLDER = Path(str(bench.__file__)).parent


def first(operation: str) -> Problem:
    """A small problem of the sizes that peers take: whole blocks, one part."""
    sizes = {"precondition": (64, 32, 16, 16), "adam": (20, 9, 1), "momentum": (20, 9, 1), "weight_update": (20, 9, 1)}
    cases = import_module(f"bert_thor.kernels.{operation}.cases")
    if operation in sizes:
        return next(problem for problem in cases.problems(*sizes[operation]) if problem.function != "adam")
    return max(small(operation), key=lambda problem: problem.work)


@pytest.mark.parametrize("operation", operations())
def test_contenders_run_and_ours_writes_into_its_own_arrays(operation: str) -> None:
    problem = first(operation)
    before = [np.copy(value) for value in problem.arguments]
    case = contenders.case_of(operation, problem, 1)
    assert case.operation == operation and case.shape == problem.label and case.needs == {problem.limit: problem.work}
    for name, call in case.contenders.items():
        for _ in range(2):
            call()
        assert name in ("ours", "openblas", "pytorch", "mindspore")
    after = [np.asarray(value) for value in problem.arguments]
    assert all(np.array_equal(one, other, equal_nan=True) for one, other in zip(before, after)), "state was shared"


def test_an_operation_without_peers_is_timed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contenders, "find_spec", lambda name: None)
    assert list(contenders.case_of("l2_norm", first("l2_norm"), 1).contenders) == ["ours"]


def test_peers_belong_to_an_operation() -> None:
    files = {path.stem for path in (FOLDER / "kernels").glob("*.py")}
    assert files - {"__init__", "__main__", "contenders", "plot", "results"} <= set(operations())


def test_arrays_start_at_a_cache_line() -> None:
    moved = contenders._aligned(np.ones(33, np.float32)[1:])
    assert moved.ctypes.data % CACHE_LINE == 0 and (moved == 1).all() and contenders._aligned(3.5) == 3.5


@pytest.mark.long  # it makes every problem, 200 MB at a time
def test_targets_and_the_figure_name_problems_that_exist() -> None:
    names = {f"{operation} {problem.label}" for operation in operations() for problem in large(operation)}
    assert {target.name for target in KERNELS} <= names
    assert set(SHOWN) <= names | {row.name for row in steps.rows()}
    stored = {
        f"{row['operation']} {row['shape']}"
        for row in json.loads((FOLDER / "results/kernels.json").read_text())["rows"]
    }
    assert stored <= names, "a stored result that no run would give"
