from __future__ import annotations

import os

os.environ.setdefault(
    "OPENBLAS_NUM_THREADS", "1"
)  # before NumPy loads it: its threads only disturb matrices this small

from collections.abc import Iterator

import pytest

from bert_thor.kernels.library import InstructionSet, set_instruction_set
from bert_thor.kernels.library import instruction_set as current_instruction_set


@pytest.fixture(params=list(InstructionSet), ids=lambda isa: isa.name.lower())
def instruction_set(request: pytest.FixtureRequest) -> Iterator[InstructionSet]:
    """Runs the test once per instruction set of this processor."""
    before = current_instruction_set()
    if set_instruction_set(request.param) != request.param:
        set_instruction_set(before)
        pytest.skip(f"this processor has no {request.param.name}")
    yield request.param
    set_instruction_set(before)
