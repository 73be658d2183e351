"""A problem on which Triton kernels are proved: launches, answers in float64, bounds as formulas; NaN fails every bound."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

KERNELS = Path(__file__).resolve().parents[3] / "kernels"
F32 = np.float32
UNIT = 2.0**-24  # unit roundoff of float32
ROUNDING = {"float32": 0.0, "float16": 2.0**-11, "bfloat16": 2.0**-8}  # of a result's last rounding, relative
SUBNORMAL = {"float32": 0.0, "float16": 2.0**-25, "bfloat16": 0.0}  # and absolute
DTYPES = tuple(ROUNDING)
GATE = 0.3  # of LAPACK's ratio for inverses, which LAPACK itself passes up to 30
PROGRAMS = 3


@dataclass(frozen=True)
class Launch:
    """One call of a kernel: FOLDER:KERNEL, the grid, the arguments in order and the tl.constexpr ones by name."""

    place: str
    grid: tuple[int, ...]
    arguments: tuple[Any, ...]
    constants: dict[str, Any]

    @property
    def path(self) -> str:
        """FILE.py:KERNEL."""
        folder, _, kernel = self.place.partition(":")
        return f"{KERNELS / folder / 'triton.py'}:{kernel}"


@dataclass(frozen=True)
class Check:
    """An output beside its answer in float64; `error` is how much of its bound the worst element uses."""

    actual: np.ndarray
    expected: np.ndarray
    bound: Any

    def error(self) -> float:
        """Largest |actual - expected| / bound, infinite for a NaN."""
        with np.errstate(invalid="ignore", divide="ignore"):
            difference = np.abs(widened(self.actual).astype(np.float64) - self.expected)
            share = np.where(difference == 0, 0.0, difference / self.bound)
        return float(np.where(np.isnan(share), np.inf, share).max(initial=0.0))


@dataclass
class Problem:
    """Launches in order, and what must hold afterwards.

    Attributes:
        operation, dtype, shape: for the table.
        launches: share their arrays by identity.
        checks: made after the launches ran.
        exact: what must hold exactly, as (sentence, test).
        limit: (bytes that must cross the memory, steps of the cube, repeats of the vector unit) at the least.
    """

    operation: str
    dtype: str
    shape: str
    launches: list[Launch]
    checks: list[Check]
    exact: list[tuple[str, Callable[[], bool]]] = field(default_factory=list)
    limit: tuple[float, float, float] = (0.0, 0.0, 0.0)


def lane_sum_units(terms: int) -> float:
    """Roundings on the longest path of a sum over a row in 64 partial sums, and of the few operations around it."""
    return terms / 64 + 24


def column_sum_bound(terms: np.ndarray) -> np.ndarray:
    """Error of summing `terms` over their first axis, in any order, with four roundings in each term."""
    return np.asarray(UNIT * (len(terms) + 5) * np.abs(terms).sum(axis=0) + 1e-37)


def stored(x: np.ndarray, dtype: str) -> np.ndarray:
    """x as a kernel gets it: uint16 holds bfloat16, rounded to nearest even."""
    if dtype != "bfloat16":
        return x.astype(dtype)
    bits = np.ascontiguousarray(x, F32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def widened(x: np.ndarray) -> np.ndarray:
    """The numbers that x holds, in float32."""
    return (x.astype(np.uint32) << 16).view(F32) if x.dtype == np.uint16 else x


def empty(shape: Sequence[int], dtype: str = "float32") -> np.ndarray:
    """Room for a result, full of NaN (0xFF)."""
    return (
        np.frombuffer(b"\xff" * 4 * math.prod(shape), stored(np.zeros(0), dtype).dtype)[: math.prod(shape)]
        .reshape(shape)
        .copy()
    )


def normal(seed: int, *shape: int) -> np.ndarray:
    """Standard normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(F32)


def rounding(values: np.ndarray, dtype: str) -> np.ndarray:
    """What storing `values` in this type may add to an error."""
    return np.asarray(ROUNDING[dtype] * np.abs(values) + SUBNORMAL[dtype])


def power_of_two(n: int, least: int) -> int:
    """The first power of two that is neither below n nor below `least`."""
    return max(least, 1 << max(0, n - 1).bit_length())


def rows_per_tile(rows: int, features: int, items: int) -> int:
    """Rows of a tile of no more than that many items, with four tiles per program where there are rows enough."""
    return max(1, min(16, items // features, rows // (4 * PROGRAMS)))
