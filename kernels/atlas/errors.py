"""What can go wrong between a Triton kernel and its execution on the model of the core."""

from __future__ import annotations

from bert_thor.errors import UserError


class AtlasError(UserError, RuntimeError):
    """Base of all errors of this package."""


class CompilerMissingError(AtlasError):
    """The wheels that hold the compiler are not installed in this environment."""


class CompileError(AtlasError):
    """The compiler refused the kernel; the message holds what it said."""


class UnknownIntrinsicError(AtlasError):
    """The compiled kernel reaches an instruction that `intrinsics.py` does not describe."""


class UnsupportedKernelError(AtlasError):
    """The compiled kernel needs something that the machine does not model."""


class ArgumentError(AtlasError):
    """A call has missing, unknown or ill-typed arguments."""
