"""Areas, shared areas and suppression of proposals against NumPy, and greedy suppression as a kernel composes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tik_program import in_ub

GROUP = 16


def boxes(seed: int, groups: int) -> np.ndarray:
    """Proposals with corners on a grid where float16 is exact, a score, and spare fields that nothing reads."""
    generator = np.random.default_rng(seed)
    low = generator.integers(0, 12, (groups * GROUP, 2))
    found = np.full((groups * GROUP, 8), np.nan, np.float16)
    found[:, :2], found[:, 2:4] = low, low + generator.integers(2, 12, (groups * GROUP, 2))
    found[:, 4] = np.linspace(1, 0.1, groups * GROUP)
    return found


def areas(x: np.ndarray, offset: float) -> np.ndarray:
    return (x[:, 2] - x[:, 0] + offset) * (x[:, 3] - x[:, 1] + offset)


def shared(a: np.ndarray, b: np.ndarray, offset: float) -> np.ndarray:
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:4], b[None, :, 2:4])
    return np.asarray(np.maximum(high - low + offset, 0).prod(axis=-1))


@pytest.mark.parametrize("offset", [None, 0.0])
@pytest.mark.parametrize("groups", [1, 3])
def test_areas(groups: int, offset: float | None) -> None:
    x = boxes(groups, groups)

    def call(t: Any, x: Any, y: Any) -> None:
        if offset is not None:
            t.set_rpn_offset(offset)
        t.vrpac(y, x, groups)

    y = in_ub(call, x=x.reshape(-1), y=np.zeros(groups * GROUP, np.float16))["y"]
    assert np.array_equal(y, areas(x, 1.0 if offset is None else offset))


@pytest.mark.parametrize("groups", [1, 3])
def test_pairs(groups: int) -> None:
    a, b = boxes(5, groups), boxes(6, 1)

    def call(t: Any, a: Any, b: Any, first: Any, second: Any, inner: Any, both: Any) -> None:
        t.viou(inner, a, b, groups)
        t.vrpac(first, a, groups)
        t.vrpac(second, b, 1)
        t.vaadd(both, first, second, groups)

    empty = {n: np.zeros(s * GROUP, np.float16) for n, s in (("first", groups), ("second", 1))}
    pairs = {n: np.zeros(groups * GROUP * GROUP, np.float16) for n in ("inner", "both")}
    found = in_ub(call, a=a.reshape(-1), b=b.reshape(-1), **empty, **pairs)
    assert np.array_equal(found["inner"].reshape(-1, GROUP), shared(a, b, 1))
    assert np.array_equal(found["both"].reshape(-1, GROUP), areas(a, 1)[:, None] + areas(b, 1)[None, :])


def words(matrix: np.ndarray) -> np.ndarray:
    """Bit j of word i of each group of 16 columns."""
    return np.packbits(matrix, axis=-1, bitorder="little").view(np.uint16)[..., 0]


def greedy(matrix: np.ndarray) -> np.ndarray:
    """1 for each item that one kept before it suppresses."""
    gone = np.zeros(len(matrix), np.uint16)
    for j in range(len(matrix)):
        gone[j] = any(matrix[i, j] and not gone[i] for i in range(j))
    return gone


def test_greedy_suppression_over_three_groups() -> None:
    """Group by group: what the groups before suppress, then the group itself; the diagonal's lower half does not count."""
    matrix = np.random.default_rng(8).random((48, 48)) < 0.06
    columns = [words(matrix[: GROUP * (g + 1), GROUP * g : GROUP * (g + 1)]) for g in range(3)]

    def call(t: Any, first: Any, second: Any, third: Any, vector: Any) -> None:
        for g, column in enumerate((first, second, third)):
            register = t.set_rpn_cor_ir(0)
            if g:
                register = t.rpn_cor(column, vector, 1, 1, g)
            t.rpn_cor_diag(vector[g * GROUP], column[g * GROUP], register)

    names = dict(zip(("first", "second", "third"), columns))
    vector = in_ub(call, **names, vector=np.ones(48, np.uint16))["vector"]
    assert np.array_equal(vector, greedy(matrix)) and 5 < vector.sum() < 43
