"""What the tests of MindSpore's kernels share: loading them, layouts, error bounds, and the recorded cycles."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_cases import check_cycles

from bert_thor.kernels import davinci

UNIT, HALF_UNIT = 2.0**-24, 2.0**-11
LONG = pytest.mark.long
CHECKS_OFF = ("uninitialised", "poison", "bounds")


def _folder() -> Path:
    spec = importlib.util.find_spec("mindspore")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("MindSpore is not installed", allow_module_level=True)
    return Path(spec.submodule_search_locations[0]) / "ops" / "_op_impl" / "_custom_op"


FOLDER = _folder()
CYCLES_FILE = Path(__file__).parent / "cycles.json"
README = Path(davinci.__file__).parent / "README.md"


def timed(name: str, shape: str, result: davinci.Result) -> davinci.Result:
    """The result, its cycles as recorded."""
    check_cycles(CYCLES_FILE, name, shape, result.cycles)
    return result


def kernel(file: str, function: str) -> Any:
    return getattr(davinci.load(str(FOLDER / f"{file}.py")), function)


def uniform(seed: int, *shape: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(dtype)


def to_nz(matrix: np.ndarray) -> np.ndarray:
    """Rows x columns to FRACTAL_NZ [C1][R1][16][16]."""
    rows, columns = matrix.shape
    return matrix.reshape(rows // 16, 16, columns // 16, 16).transpose(2, 0, 1, 3).copy()


def from_nz(fractals: np.ndarray) -> np.ndarray:
    c1, r1, r0, c0 = fractals.shape
    return fractals.transpose(1, 2, 0, 3).reshape(r1 * r0, c1 * c0)


def wide(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float64)


def half_product(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The exact product of float16 matrices and the float32 error bound of its sums."""
    return wide(a) @ wide(b), a.shape[1] * UNIT * (np.abs(wide(a)) @ np.abs(wide(b)))


def block_diagonal(matrix: np.ndarray, edge: int = 128) -> np.ndarray:
    """The matrix with everything outside its diagonal blocks zero."""
    index = np.arange(len(matrix)) // edge
    return np.where(index[:, None] == index[None, :], matrix, 0).astype(matrix.dtype)
