"""What a program is made of: scalars, tensors, nodes, and the table of Ascend 910's instructions by name."""

from __future__ import annotations

from . import col2img, compare, convert, cube, load3d, move, proposals, reduce, scalar, sort, transpose, vector
from .table import Entry, Instruction, Plan, bind

FAMILIES = (vector, convert, reduce, compare, transpose, move, cube, load3d, col2img, sort, proposals, scalar)

TABLE: dict[str, Entry] = {entry.name: entry for family in FAMILIES for entry in family.entries()}

__all__ = ["TABLE", "Entry", "Instruction", "Plan", "bind"]
