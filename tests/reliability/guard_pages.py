"""Runs every kernel on arrays that end where memory ends, or begin where it begins: a stray access is a crash.

`guard_pages.py` compares each operation, on the small problems of its cases.py and every instruction set, with the same
call on ordinary arrays, bit for bit. Every input and output lies between two pages that must not be touched, flush with
the one behind it, then with the one before it. Prints each case first, so that a crash names its cause, and at the end
one line of JSON.
"""

from __future__ import annotations

import ctypes
import json
import mmap
from importlib import import_module
from typing import Any

import numpy as np

from bert_thor.kernels.cases import Problem, operations, small
from bert_thor.kernels.library import InstructionSet, instruction_set, set_instruction_set

PAGE = mmap.PAGESIZE

_mprotect = ctypes.CDLL(None, use_errno=True).mprotect
_mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class Guards:
    """Arrays between forbidden pages; they live as long as this object."""

    def __init__(self, at_end: bool) -> None:
        self.at_end, self._mappings = at_end, list[mmap.mmap]()

    def empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """A new array, flush with the forbidden page on the chosen side."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        pages = max(1, -(-size // PAGE))
        mapping = mmap.mmap(-1, (pages + 2) * PAGE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
        for forbidden in (address, address + (pages + 1) * PAGE):
            if _mprotect(forbidden, PAGE, 0) != 0:
                raise OSError(ctypes.get_errno(), "mprotect")
        self._mappings.append(mapping)
        start = PAGE + (pages * PAGE - size if self.at_end else 0)
        return np.frombuffer(mapping, np.uint8, size, start).view(dtype).reshape(shape)

    def copy(self, value: Any) -> Any:
        """`value` between guards when it is an array, else itself."""
        if not isinstance(value, np.ndarray):
            return value
        guarded = self.empty(value.shape, value.dtype)
        guarded[...] = value
        return guarded


def call(module: Any, function: str, arguments: tuple[Any, ...], guards: Guards | None) -> list[bytes]:
    """The bytes of all outputs; with guards, of a call whose inputs and outputs lie between them."""
    make_outputs = module.make_outputs
    if guards is not None:
        arguments = tuple(guards.copy(value) for value in arguments)
        module.make_outputs = lambda operation, out, shapes, dtypes: tuple(map(guards.empty, shapes, dtypes))
    try:
        outputs = getattr(module, function)(*arguments)
    finally:
        module.make_outputs = make_outputs
    return [output.tobytes() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]


def calls(problem: Problem) -> list[tuple[Any, ...]]:
    """The arguments of a problem, and those with bfloat16 where the function takes it."""
    return [problem.arguments, *([problem.in_bfloat16] if problem.bfloat16 else [])]


def main() -> None:
    highest, count = instruction_set(), 0
    for operation in operations():
        module = import_module(f"bert_thor.kernels.{operation}.native")
        for problem in small(operation):
            for arguments in calls(problem):
                for isa in InstructionSet:
                    if isa > highest or set_instruction_set(isa) != isa:
                        continue
                    plain = call(module, problem.function, arguments, None)
                    for at_end in (True, False):
                        half, side = (
                            "" if arguments is problem.arguments else "in bfloat16 ",
                            "end" if at_end else "start",
                        )
                        print(f"{problem.function} {problem.label} {half}{isa.name.lower()} {side}", flush=True)
                        assert call(module, problem.function, arguments, Guards(at_end)) == plain
                        count += 1
    print(json.dumps({"calls": count}))


if __name__ == "__main__":
    main()
