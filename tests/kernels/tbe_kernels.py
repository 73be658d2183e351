"""The TIK kernels under test: loaded, traced for 32 or 30 cores, run in the interpreter; FRACTAL_NZ made by hand."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import Any
from unittest import mock

import numpy as np

from bert_thor import kernels
from bert_thor.kernels import davinci
from bert_thor.kernels.ascend import tik_support

CORES = (32, 30)


def load(operation: str) -> Any:
    """The module `kernels/<operation>/tbe.py`."""
    importlib.import_module(f"bert_thor.kernels.{operation}")
    return davinci.load(os.path.join(os.path.dirname(os.path.abspath(kernels.__file__)), operation, "tbe.py"))


def trace(kernel: Any, *descriptions: Any, cores: int = 32, **attributes: Any) -> davinci.Program:
    """The kernel's program for a chip with so many cores."""
    with mock.patch.object(tik_support, "core_count", lambda: cores):
        return davinci.trace(kernel, *descriptions, **attributes)


def to_fractal_nz(x: np.ndarray) -> np.ndarray:
    """x [rows, columns] as [columns / 16, rows / 16, 16, 16], zeros in the padding."""
    rows, columns = (-(-extent // 16) for extent in x.shape)
    padded = np.zeros((16 * rows, 16 * columns), x.dtype)
    padded[: x.shape[0], : x.shape[1]] = x
    return np.ascontiguousarray(padded.reshape(rows, 16, columns, 16).transpose(2, 0, 1, 3))


def describe_fractal_nz(shape: Sequence[int], dtype: str) -> dict[str, Any]:
    """The TBE description of a FRACTAL_NZ tensor whose matrix has `shape`."""
    fractals = (-(-shape[1] // 16), -(-shape[0] // 16), 16, 16)
    return {"shape": fractals, "dtype": dtype, "format": "FRACTAL_NZ", "ori_shape": tuple(shape), "ori_format": "ND"}


def root_mean_square(x: np.ndarray) -> float:
    return float(np.sqrt(np.square(x, dtype=np.float64).mean()))
