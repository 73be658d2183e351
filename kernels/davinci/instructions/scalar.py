"""The scalar unit's store of one element."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..machine import Machine
from .patterns import result_pattern
from .table import Cost, Entry, Instruction, Integers, Plan, Unit


def _plan(instruction: Instruction, integers: Integers) -> Plan | None:
    return Plan({"dst": result_pattern(1, 1, 1)}, {"dst": np.dtype(instruction.tensors["dst"].dtype).itemsize})


def _run(unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]) -> None:
    unit.write(
        operands["dst"], plan.patterns["dst"], unit.column(values["value"], instruction.tensors["dst"].dtype, 2), None
    )


def _cycles(machine: Machine, instruction: Instruction, plan: Plan) -> Cost:
    return machine["scalar.store"], 0


def entries() -> list[Entry]:
    """``tensor[i] = scalar``."""
    return [Entry("set_element", "dst value", "S", _plan, _run, _cycles, reads=(), values=("value",))]
