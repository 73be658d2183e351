"""Every compiled kernel against its reference, on its small problems, at every instruction set of this processor.

This is what `bert-thor doctor` runs to find a broken build or a broken machine in seconds; the kernels' own tests look
for everything else. Needs no MindSpore.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import NamedTuple

import numpy as np

from bert_thor.kernels.cases import operations, small
from bert_thor.kernels.library import InstructionSet, instruction_set, set_instruction_set


class Verdict(NamedTuple):
    """How one operation did on one instruction set."""

    operation: str
    instruction_set: InstructionSet
    share: float  # largest error over what is allowed; NaN or above 1: the kernel is wrong

    @property
    def passed(self) -> bool:
        """False for a NaN too."""
        return self.share <= 1.0


def self_test() -> Iterator[Verdict]:
    """Compare every operation on every instruction set up to the one in use, which is in use again afterwards."""
    for operation in operations():
        for isa, share in shares(operation).items():
            yield Verdict(operation, isa, share)


def shares(operation: str) -> dict[InstructionSet, float]:
    """Largest error over what is allowed, by instruction set; infinite where the operation has no problems."""
    highest = instruction_set()
    native = import_module(f"bert_thor.kernels.{operation}.native")
    reference = import_module(f"bert_thor.kernels.{operation}.reference")
    compared = [(problem, problem.exact(reference)) for problem in small(operation)]
    found = {}
    try:
        for isa in InstructionSet:
            if isa <= highest and set_instruction_set(isa) == isa:
                errors = [problem.error(problem.computed(native), exact) for problem, exact in compared]
                found[isa] = float(np.max(errors, initial=0.0)) if errors else float("inf")
    finally:
        set_instruction_set(highest)
    return found
