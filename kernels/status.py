"""Turns the status codes of `common/status.h` into sentences: the only place that does."""

from __future__ import annotations

from enum import IntEnum

from bert_thor.errors import UserError


class Status(IntEnum):
    """The codes of `enum thor_status`."""

    OK = 0
    NULL_POINTER = 1
    BAD_SIZE = 2
    BAD_BLOCK = 3
    BAD_SHAPE = 4
    BAD_DTYPE = 5
    BAD_ARGUMENT_COUNT = 6
    BAD_VALUE = 7
    OUT_OF_MEMORY = 8


SENTENCES = {
    Status.NULL_POINTER: "a required pointer is null; pass an allocated array for every input and output",
    Status.BAD_SIZE: "a size is negative or too large for the address space; pass sizes of 0 or more",
    Status.BAD_BLOCK: "the block edge is below 1, above the limit or does not match the block count; "
    "pass an edge b of 1 or more and ceil(features / b) blocks",
    Status.BAD_SHAPE: "the shapes of two arguments do not fit together; compare them with the operation's docstring",
    Status.BAD_DTYPE: "an argument has an element type that this kernel does not take; cast it to float32 (int32 for ids and status)",
    Status.BAD_ARGUMENT_COUNT: "the framework passed another number of tensors than the entry point takes; "
    "the Python files and libthor_kernels.so are of different versions: rebuild with `python setup.py build_ext --inplace`",
    Status.BAD_VALUE: "a scalar argument is outside its range (eps >= 0, damping >= 0, 0 <= dropout < 1); correct it",
    Status.OUT_OF_MEMORY: "scratch memory could not be allocated; use smaller blocks or fewer threads, or free memory",
}


class KernelError(UserError, RuntimeError):
    """A kernel refused its arguments or could not run; `status` holds the code, the message one sentence."""

    def __init__(self, operation: str, status: int) -> None:
        self.operation = operation
        self.status = status
        super().__init__(f"{operation}: {sentence(status)} (status {status}).")


def sentence(status: int) -> str:
    """What a non-zero status code means and what to do about it."""
    try:
        return SENTENCES[Status(status)]
    except (KeyError, ValueError):
        return "unknown status code; the Python files and libthor_kernels.so are of different versions, rebuild the kernels"


def raise_for_status(operation: str, status: int) -> None:
    """Raise `KernelError` unless `status` is 0."""
    if status != Status.OK:
        raise KernelError(operation, status)
