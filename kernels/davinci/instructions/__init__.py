"""The instructions of Ascend 910, by name."""

from __future__ import annotations

from typing import Dict

from . import convert, cube, move, scalar, vector
from .table import Entry, Instruction, Plan, bind

TABLE: Dict[str, Entry] = {
    entry.name: entry for family in (vector, convert, move, cube, scalar) for entry in family.entries()
}

__all__ = ["TABLE", "Entry", "Instruction", "Plan", "bind"]
