"""The compiled kernels: where the shared library is, which instruction set it uses, how many threads it takes."""

from __future__ import annotations

import os
from enum import IntEnum
from functools import cache
from pathlib import Path
from types import ModuleType

ABI_VERSION = 1
_FOLDER = Path(__file__).resolve().parent


class InstructionSet(IntEnum):
    """The values of `enum thor_isa`, lowest first."""

    PORTABLE = 0
    AVX2 = 1
    AVX512 = 2
    AVX512_BF16 = 3


def library_path() -> Path:
    """Path of libthor_kernels.so; raises `ImportError` with what to do when it was not built."""
    path = _FOLDER / "libthor_kernels.so"
    if not path.is_file():
        raise ImportError(
            f"{path} does not exist: build the kernels with `make venv` or `python setup.py build_ext --inplace`"
        )
    return path


@cache
def load_native() -> ModuleType:
    """The pybind11 module, checked once: built, of this version, and `THOR_MAX_ISA` a name that exists."""
    library_path()
    request = os.environ.get("THOR_MAX_ISA")
    names = [isa.name.lower() for isa in InstructionSet]
    if request is not None and request not in names:
        raise ImportError(f"THOR_MAX_ISA={request} is not an instruction set; use one of {', '.join(names)}")
    from bert_thor.kernels import _native  # type: ignore[attr-defined]

    if _native.abi_version() != ABI_VERSION:
        raise ImportError(
            f"libthor_kernels.so has ABI version {_native.abi_version()}, the Python files need {ABI_VERSION}: "
            "rebuild with `python setup.py build_ext --inplace`"
        )
    module: ModuleType = _native
    return module


def instruction_set() -> InstructionSet:
    """The instruction set in use: the best one that the processor has, not above `THOR_MAX_ISA`."""
    return InstructionSet(load_native().isa())


def set_instruction_set(isa: InstructionSet) -> InstructionSet:
    """Use `isa`, or the best below it that the processor has; returns the one in use. For tests and benchmarks."""
    return InstructionSet(load_native().set_isa(int(isa)))


def num_threads() -> int:
    """Threads that a kernel uses when it is not told: `THOR_NUM_THREADS`, else the cores available to the process."""
    return int(load_native().num_threads())


def set_num_threads(threads: int) -> int:
    """Use `threads` threads by default (0: back to the start value); returns the number in use."""
    return int(load_native().set_num_threads(threads))
