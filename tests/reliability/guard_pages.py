"""Runs every kernel on arrays that end where memory ends, or begin where it begins: a stray access is a crash.

`guard_pages.py` compares each operation of `self_test.py`, at several sizes and every instruction set, with the same
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

from bert_thor import self_test
from bert_thor.kernels.library import InstructionSet, instruction_set, set_instruction_set

PAGE = mmap.PAGESIZE
SIZES = ((1, 1, 1), (3, 17, 5), (37, 50, 16), (64, 64, 64), (130, 33, 16), (5, 257, 128))  # rows, features, block
HALF_PRECISION = {
    "layer_norm": (0,), "layer_norm_grad": (0, 1), "dropout": (0,), "fisher_covariance": (0,),
    "residual_dropout_layer_norm": (0, 2), "residual_dropout_layer_norm_grad": (0, 1),
}  # fmt: skip
"""Arguments that may be bfloat16, by function."""

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


def halved(case: self_test.Comparison) -> tuple[Any, ...]:
    """The arguments with bfloat16 bit patterns where the function takes them."""
    places = HALF_PRECISION[case.function]
    return tuple(
        (value.view(np.uint32) >> 16).astype(np.uint16) if place in places else value
        for place, value in enumerate(case.arguments)
    )


def cases(operation: str) -> list[tuple[str, tuple[Any, ...]]]:
    """(function, arguments) of the operation at the sizes that are set."""
    reference = import_module(f"bert_thor.kernels.{operation}.reference")
    found = self_test.COMPARISONS[operation](np.random.default_rng(2), reference)
    full = [(case.function, case.arguments) for case in found]
    return full + [(case.function, halved(case)) for case in found if case.function in HALF_PRECISION]


def main() -> None:
    highest, count = instruction_set(), 0
    for operation in self_test.operations():
        module = import_module(f"bert_thor.kernels.{operation}.native")
        for self_test._ROWS, self_test._FEATURES, self_test._BLOCK in SIZES:
            for function, arguments in cases(operation):
                for isa in InstructionSet:
                    if isa > highest or set_instruction_set(isa) != isa:
                        continue
                    plain = call(module, function, arguments, None)
                    for at_end in (True, False):
                        shapes = [value.shape for value in arguments if isinstance(value, np.ndarray)]
                        print(f"{function} {isa.name.lower()} {shapes} {'end' if at_end else 'start'}", flush=True)
                        assert call(module, function, arguments, Guards(at_end)) == plain
                        count += 1
    print(json.dumps({"calls": count}))


if __name__ == "__main__":
    main()
