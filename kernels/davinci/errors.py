"""Errors of the interpreter: every one names the kernel's own file and line.

All are ``RuntimeError``, as in TIK itself, so that a kernel's own error handling sees what it would see under CANN.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from bert_thor.errors import UserError

PACKAGE_DIRECTORY = os.path.dirname(os.path.abspath(__file__))


@dataclass(frozen=True)
class Location:
    """A line of a kernel file."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def caller_location() -> Location:
    """The innermost stack frame that is not part of this package or of the standard library's ``contextlib``."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not os.path.abspath(name).startswith(PACKAGE_DIRECTORY) and not name.endswith("contextlib.py"):
            return Location(name, frame.f_lineno, frame.f_code.co_name)
        frame = frame.f_back  # type: ignore[assignment]
    return Location("<unknown>", 0, "<unknown>")


class DavinciError(UserError, RuntimeError):
    """Base of all errors that a kernel can provoke.

    Attributes:
        location: the kernel's file and line, or None when the error belongs to no line (a wrong call of ``run``).
        sentence: the message without the location.
    """

    def __init__(self, sentence: str, location: Location | None = None) -> None:
        self.sentence = sentence
        self.location = location
        super().__init__(sentence if location is None else f"{location}: {sentence}")


class CapacityError(DavinciError):
    """The live tensors of a scope need more bytes than the on-chip buffer has."""


class AlignmentError(DavinciError):
    """An operand starts at an address that the instruction cannot use."""


class LimitError(DavinciError):
    """A mask, repeat, stride, burst or extent is outside the instruction's encoding."""


class DataTypeError(DavinciError):
    """The instruction does not take this data type on Ascend 910."""


class OverlapError(DavinciError):
    """Source and destination overlap in a way that the hardware does not define."""


class BoundsError(DavinciError):
    """An access lies outside its tensor."""


class UninitialisedError(DavinciError):
    """An instruction reads memory, or an expression reads a scalar, that nothing wrote."""


class PoisonError(DavinciError):
    """A value that the hardware does not define reaches global memory or a scalar."""


class RaceError(DavinciError):
    """Two cores touch the same place in global memory without an order between them."""


class UnwrittenOutputError(DavinciError):
    """The kernel ended and part of an output was never written."""


class ScopeError(DavinciError):
    """A tensor, scalar or loop variable is used outside the scope that declared it, or in a buffer it cannot live in."""


class StructureError(DavinciError):
    """The program's structure is wrong: nesting of loops, else without if, a missing BuildCCE."""


class ArgumentError(DavinciError):
    """A call has missing, unknown or ill-typed arguments."""


class UnavailableError(DavinciError):
    """The instruction does not exist on Ascend 910, or this interpreter does not know it."""
