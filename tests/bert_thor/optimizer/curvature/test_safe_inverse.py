"""The ladder below the float32 inverse, rung by rung."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bert_thor.errors import TrainingError
from bert_thor.optimizer.curvature.safe_inverse import CONDITION_LIMIT, LOST, repair, stop


def with_eigenvalues(values: np.ndarray) -> np.ndarray:
    basis = np.linalg.qr(np.random.default_rng(3).standard_normal((len(values), len(values))))[0]
    return (basis * values) @ basis.T


def test_float64_serves_where_float32_would_be_lost() -> None:
    block = with_eigenvalues(np.geomspace(1.0, 1e-9, 16))
    assert np.linalg.cond(block, 1) > CONDITION_LIMIT
    found = repair(block, 0.0)
    assert found.rung == "float64"
    error = np.linalg.norm(found.inverse @ block - np.eye(16), 1)
    assert error <= np.linalg.cond(block, 1) * (2.0**-24 + 16 * 2.0**-53) * 2


@pytest.mark.parametrize(
    ("smallest", "rung"), [(-0.5, "damping_x10"), (-5.0, "damping_x100"), (-50.0, "damping_x1000")]
)
def test_more_damping_until_it_is_positive_definite(smallest: float, rung: str) -> None:
    block = with_eigenvalues(np.array([3.0, 2.0, 1.0, smallest]))
    found = repair(block, 0.1)
    assert found.rung == rung
    damping = 0.1 * 10.0 ** (1 + ["damping_x10", "damping_x100", "damping_x1000"].index(rung))
    exact = np.linalg.inv(block + damping * np.eye(4))
    assert (np.abs(found.inverse - exact) <= 2.0**-23 * np.abs(exact).max()).all()
    assert (found.inverse == found.inverse.T).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1e6])
def test_the_previous_inverse_is_kept_where_nothing_helps(bad: float) -> None:
    block = np.eye(4)
    block[2, 2] = bad
    assert repair(block, 0.1) == (None, "kept")


def test_a_bad_condition_counts_as_a_failure() -> None:
    """float64 is refused above `LOST`/ε₆₄ as float32 is above `LOST`/ε₃₂."""
    block = np.diag([1.0, 1e-15])
    assert 1e14 * 2.0**-52 > LOST > 1e13 * 2.0**-52
    assert repair(block, 1e-14).rung == "damping_x10"


def test_stop_names_layer_block_and_pivot_and_saves_the_matrix(tmp_path: Path) -> None:
    matrix = np.diag([1.0, -1.0])
    error = stop(tmp_path, "factor_a.transform.weight", 3, 2, matrix, 0.1)
    assert isinstance(error, TrainingError)
    for fragment in ("block 3", "factor_a.transform.weight", "pivot 2", "4 refreshes", "0.1", "--damping"):
        assert fragment in str(error)
    saved = np.load(tmp_path / "not-invertible-factor_a.transform.weight-3.npy")
    assert (saved == matrix).all()
