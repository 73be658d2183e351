"""Kernels that others wrote, by name, with a small problem each and what NumPy says about it. None of their code is here.

A case names a file of CANN's ``impl`` folder, its function, what the function is called with, the inputs, and the outputs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

import numpy as np

Array = np.ndarray
CANN = "ai_core/tbe/impl"


@dataclass(frozen=True)
class Case:
    """One kernel on one problem.

    Attributes:
        file: the kernel's file without ``.py``, which is its function too unless ``function`` says otherwise.
        arguments: positional arguments in the kernel's order: described tensors, None, attributes.
        inputs: arrays, one per input of the program.
        expected: arrays, one per output; None, or masked numbers, where the kernel may store anything.
        attributes: arguments by name.
        error: largest |difference| relative to max(|expected|), 0 for bit-exact.
        inplace: outputs stored over inputs, by the kernel's names.
        finding: what a check finds in the kernel, as (error class, the check's name); without that check it is right.
        folder: how the path of the folder ends that the file is in.
        package: what the kernel's own imports call that folder.
        exact: what must hold to the last bit: the output's number, what is read from it, the numbers.
    """

    file: str
    arguments: Sequence[Any]
    inputs: Sequence[Array]
    expected: Sequence[Array | None]
    attributes: dict[str, Any] = field(default_factory=dict)
    function: str = ""
    error: float = 0.0
    inplace: dict[str, str] = field(default_factory=dict)
    finding: tuple[str, str] | None = None
    folder: str = CANN
    package: str | None = None
    exact: Sequence[tuple[int, Callable[[Array], Array], Array]] = ()


def check_cycles(file: Path, name: str, shape: str, cycles: int) -> None:
    """Hold cycles to a record. DAVINCI_RECORD=1 records them anew after a change of the cycle model."""
    recorded = json.loads(file.read_text()) if file.exists() else {}
    if os.environ.get("DAVINCI_RECORD"):
        recorded.setdefault(name, {})[shape] = cycles
        file.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")
    assert cycles == recorded[name][shape]


CASES: dict[str, Callable[[], Case]] = {}


def case(make: Callable[[], Case]) -> Callable[[], Case]:
    """Register a case under its function's name."""
    CASES[make.__name__] = make
    return make


def described(array: Array, layout: str = "ND", original: Any = None, original_layout: str = "") -> dict[str, Any]:
    """TBE's description of an array; what is masked in it, the kernel need not define."""
    shape = tuple(array.shape)
    promise = {"defined": ~array.mask} if isinstance(array, np.ma.MaskedArray) else {}
    return {
        **promise,
        "shape": shape,
        "dtype": str(array.dtype),
        "format": layout,
        "ori_shape": tuple(original or shape),
        "ori_format": original_layout or layout,
    }


def numbers(seed: int, *shape: int, dtype: str = "float16", low: float = -1, high: float = 1) -> Array:
    """Uniform numbers."""
    return np.random.default_rng(seed).uniform(low, high, shape).astype(dtype)


def integers(seed: int, *shape: int, low: int = 0, high: int = 100, dtype: str = "int32") -> Array:
    """Uniform integers in low <= i < high."""
    return np.random.default_rng(seed).integers(low, high, shape).astype(dtype)


def to_nc1hwc0(x: Array) -> Array:
    """NCHW to NC1HWC0 with zeros in the padding."""
    n, c, h, w = x.shape
    c1 = -(-c // 16)
    padded = np.zeros((n, c1 * 16, h, w), x.dtype)
    padded[:, :c] = x
    return padded.reshape(n, c1, 16, h, w).transpose(0, 1, 3, 4, 2).copy()


def to_fractal_nz(x: Array) -> Array:
    """Rows x columns to [C1][R1][16][16] with zeros in the padding."""
    rows, columns = x.shape
    padded = np.zeros((-(-rows // 16) * 16, -(-columns // 16) * 16), x.dtype)
    padded[:rows, :columns] = x
    return padded.reshape(padded.shape[0] // 16, 16, -1, 16).transpose(2, 0, 1, 3).copy()


def simple(file: str, inputs: Sequence[Array], expected: Sequence[Array], *rest: Any, **options: Any) -> Case:
    """A kernel whose tensors are all ND, called with inputs, outputs, then ``rest``."""
    kept = {name: options.pop(name) for name in ("function", "error", "inplace", "finding") if name in options}
    arguments = [*(described(a) for a in inputs), *(described(a) for a in expected), *rest]
    return Case(file, arguments, inputs, expected, options, **kept)
