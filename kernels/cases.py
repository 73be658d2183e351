"""On which problems a kernel is tried: `cases.py` in the folder of its operation, found by looking into the folders.

The self-test, the guard pages, valgrind, the tests of kernels and operators, the mutants and the benchmark all take their problems from
here, so that a new folder is in all of them. A `cases.py` holds

    SMALL                sizes around the edges of the kernel's tiles, empty ones included
    LARGE                the sizes that the operation has in BERT-Base and BERT-Large
    problems(*sizes)     the problems of one of these sizes: every function of the operation
    ASCEND, ASCEND_LARGE where there are kernels for Ascend 910: sizes that they take, with tails on every side, and those of BERT

and imports NumPy and references alone. LARGE is made of BERT-Base (hidden 768, feed-forward 3072, 12 heads) and BERT-Large (1024,
4096, 16) with 12 sequences of 128 tokens on a device, 1536 rows, or of 512, 6144 rows, and 20 masked tokens in each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Optional

import numpy as np

from bert_thor.kernels.arrays import Array

_FOLDER = Path(__file__).resolve().parent
UNIT = 2.0**-24  # unit roundoff of float32
BFLOAT16_UNIT = 2.0**-8  # and of bfloat16
ROUNDINGS = 4
"""A kernel may differ by this many roundings, times the length of its longest sum, of the largest element."""
PARTS = ((1, 0), (1, 1), (3, 5), (2, 15), (3, 16), (1, 17), (5, 63), (2, 65), (1, 16383), (2, 16385), (3, 40000))
"""(parts, elements) of what goes over a tensor: around the lanes (16), four vectors (64) and the work of one thread (16384)."""
SEED = np.array([5, -7, 3, 2], np.int32)
"""Of dropout: both keys, the step, the slice."""
PROBABILITY, SITE = 0.1, 4


@dataclass(frozen=True)
class Problem:
    """One call of a kernel and what is known about it.

    Attributes:
        function: its name in native.py, in reference.py and, where there is an operator, in its file in ops/.
        label: what the sizes are, for people.
        arguments: of the function in native.py.
        length: of the longest sum, times the condition where the operation has one.
        work: what the problem needs at least: FLOP (limit "fp32" or "bf16") or bytes (limit "copy").
        limit: what of the machine bounds it: multiply-adds of that precision, or a copy of as many bytes.
        reference_arguments: of the function in reference.py, where they differ.
        operator_arguments: of the operator's factory and of the operator, where they do not follow from the parameters' names;
            text is the name of a dtype.
        state: so many leading arguments are state: the operator replaces them by as many leading results.
        bfloat16: the places of arguments that may all be bfloat16 bit patterns instead.
        rounded: the error that roundings to bfloat16 inside may make, for every result; none where it is empty.
    """

    function: str
    label: str
    arguments: tuple[Any, ...]
    length: float
    work: float
    limit: str = "copy"
    reference_arguments: Optional[tuple[Any, ...]] = None
    operator_arguments: Optional[tuple[tuple[Any, ...], tuple[Any, ...]]] = None
    state: int = 0
    bfloat16: tuple[int, ...] = ()
    rounded: tuple[float, ...] = ()

    def exact(self, reference: ModuleType) -> tuple[Array, ...]:
        """What the reference says, of the numbers that bfloat16 bit patterns stand for."""
        arguments = self.arguments if self.reference_arguments is None else self.reference_arguments
        return as_tuple(getattr(reference, self.function)(*map(_in_float32, arguments)))

    def computed(self, native: ModuleType, **keywords: Any) -> tuple[Array, ...]:
        """What the compiled kernel says."""
        return as_tuple(getattr(native, self.function)(*self.arguments, **keywords))

    def error(self, ours: tuple[Array, ...], exact: tuple[Array, ...]) -> float:
        """Largest error over what is allowed; NaN or above 1: ours is wrong."""
        if len(ours) != len(exact):
            return float("inf")
        rounded = self.rounded or (0.0,) * len(exact)
        errors = [self._error(one, other, more) for one, other, more in zip(ours, exact, rounded)]
        return float(np.max(errors))  # a NaN stays one

    def _error(self, ours: Array, exact: Array, rounded: float) -> float:
        if ours.shape != exact.shape:
            return float("inf")
        largest = max(float(np.abs(exact).max(initial=0)), 1e-30)
        allowed = ROUNDINGS * UNIT * self.length * largest + rounded
        once = BFLOAT16_UNIT * np.abs(exact) if ours.dtype == np.uint16 else 0.0
        error = np.abs(_in_float32(ours).astype(np.float64) - exact)
        return float((error / (allowed + once)).max(initial=0))

    @property
    def in_bfloat16(self) -> tuple[Any, ...]:
        """The arguments with bfloat16 bit patterns where the function takes them."""
        return tuple(
            to_bfloat16(value) if place in self.bfloat16 and value.dtype == np.float32 else value
            for place, value in enumerate(self.arguments)
        )


def operations() -> list[str]:
    """The operations that have a compiled kernel."""
    return sorted(path.parent.name for path in _FOLDER.glob("*/native.py"))


def small(operation: str) -> Iterator[Problem]:
    """The small problems of an operation, the same ones every time; none where it has no cases.py."""
    return _problems(operation, "SMALL")


def large(operation: str) -> Iterator[Problem]:
    """The problems of an operation that BERT has, each made when it is asked for: they take tens of megabytes."""
    return _problems(operation, "LARGE")


def _problems(operation: str, sizes: str) -> Iterator[Problem]:
    if not (_FOLDER / operation / "cases.py").is_file():
        return
    cases = import_module(f"bert_thor.kernels.{operation}.cases")
    for size in getattr(cases, sizes):
        yield from cases.problems(*size)


def as_tuple(value: Any) -> tuple[Array, ...]:
    """The results of a function that may return one array or several."""
    return value if isinstance(value, tuple) else (value,)


def normal(*shape: int, seed: int = 0, dtype: str = "fp32") -> Array:
    """Standard normal numbers that depend on shape and seed: float32, or bfloat16 bit patterns where dtype is "bf16"."""
    x: Array = np.random.default_rng((seed, *shape)).standard_normal(shape, np.float32)
    return to_bfloat16(x) if dtype == "bf16" else x


def to_bfloat16(x: Array) -> Array:
    """The upper halves of float32 numbers, uint16: rounded toward zero."""
    return (x.view(np.uint32) >> 16).astype(np.uint16)


def from_bfloat16(bits: Array) -> Array:
    """The float32 numbers that bfloat16 bit patterns, uint16, stand for."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _in_float32(value: Any) -> Any:
    return from_bfloat16(value) if isinstance(value, np.ndarray) and value.dtype == np.uint16 else value
