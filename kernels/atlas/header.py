"""The C++ that the table of intrinsics and machine.json become: layouts, rows of costs, sizes, and entry points."""

from __future__ import annotations

from .intrinsics import INTRINSICS, LAYOUTS, Intrinsic
from .targets import constant, memory_sizes

PIPES = {"S": 0, "V": 1, "M": 2, "MTE1": 3, "MTE2": 4, "MTE3": 5, "ALL": 6, "FIX": 10}
COUNTER_MODE_BIT = 56  # of the control register; the library sets it before it writes a count into the mask


def table_header() -> str:
    """table.h: what core.h includes."""
    rows = list(INTRINSICS.values())
    lines = ["#pragma once", "#include <cstddef>", "#include <cstdint>", "namespace atlas {"]
    lines += [_layout(name, fields) for name, fields in LAYOUTS.items()]
    lines += ["enum Instruction {", *(f"  {row.symbol}," for row in rows), "  kInstructions", "};"]
    lines += ["struct Row { const char* name; int pipe; double cycles, latency, start; };"]
    lines += ["constexpr Row kRows[] = {", *(_row(row) for row in rows), "};"]
    sizes = ", ".join(str(size) for size in memory_sizes().values())
    lines += [f"constexpr size_t kSize[] = {{{sizes}}};  // {', '.join(memory_sizes())}"]
    lines += [f"constexpr int kCounterBit = {COUNTER_MODE_BIT};"]
    lines += [f"constexpr double kDispatch = {constant('dispatch')}, kFlagTime = {constant('flag')};"]
    return "\n".join([*lines, "}  // namespace atlas", ""])


def entry_points() -> str:
    """entries.inc: one line per intrinsic of the vector unit that is nothing but its row."""
    return "\n".join([*(row.entry for row in INTRINSICS.values() if row.entry), ""])


def _row(row: Intrinsic) -> str:
    return f'  {{"{row.name}", {PIPES[row.pipe]}, {row.cycles!r}, {row.latency!r}, {row.start!r}}},'


def _layout(name: str, fields: dict[str, tuple[int, int, int]]) -> str:
    words = 1 + max(word for word, _, _ in fields.values())
    accessors = [
        f"  uint64_t {field}() const {{ return word{word} >> {first} & {(1 << bits) - 1}u; }}"
        for field, (word, first, bits) in fields.items()
    ]
    if "destination_repeat_low" in fields:
        accessors.append(
            "  uint64_t destination_repeat() const { return destination_repeat_low() | destination_repeat_high() << 8; }"
        )
    members = ", ".join(f"word{i}" for i in range(words))
    return "\n".join([f"struct {name}Layout {{", f"  uint64_t {members};", *accessors, "};"])
