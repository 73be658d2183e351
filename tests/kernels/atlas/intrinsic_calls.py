"""Calls single intrinsics of the machine: memories are filled, operands packed by the table's layouts, memories read back."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from bert_thor.kernels.atlas import machine
from bert_thor.kernels.atlas.header import COUNTER_MODE_BIT, PIPES
from bert_thor.kernels.atlas.intrinsics import INTRINSICS, LAYOUTS
from bert_thor.kernels.atlas.targets import memory_sizes

MEMORIES = list(memory_sizes())
ALL_LANES = (1 << 64) - 1


def pack(layout: str, **fields: int) -> list[int]:
    """Operand words of a layout."""
    places = LAYOUTS[layout]
    words = [0] * (1 + max(word for word, _, _ in places.values()))
    for name, value in fields.items():
        if f"{name}_low" in places:  # split into two fields
            low = places[f"{name}_low"][2]
            pieces = {f"{name}_low": value & ((1 << low) - 1), f"{name}_high": value >> low}
        else:
            pieces = {name: value}
        for field, piece in pieces.items():
            word, first, bits = places[field]
            assert 0 <= piece < 1 << bits, f"{field} {piece} does not fit"
            words[word] |= piece << first
    return words


def base(memory: str) -> int:
    """Address of a memory."""
    return int(machine.machine().machine_memory(MEMORIES.index(memory), -1))


def begin(arrays: list[np.ndarray] | None = None) -> None:
    """A launch of one program; `arrays` are the global memory."""
    machine.mutate()
    machine.begin_launch(arrays or [])
    machine.begin_program(0)


def write(memory: str, content: np.ndarray) -> None:
    """Fills the beginning of UB or of another memory; nothing checks that it was written, so hazards are not asked for."""
    ctypes.memmove(base(memory), content.ctypes.data, content.nbytes)


def read(memory: str, count: int) -> np.ndarray:
    """The first bytes of a memory."""
    return np.frombuffer(ctypes.string_at(base(memory), count), np.uint8).copy()


def set_mask(counter: int | None, lanes: int = 2**128 - 1) -> None:
    """Counter mode with a number of items, or a mask of lanes."""
    call("SET_CTRL", 0 if counter is None else 1 << COUNTER_MODE_BIT)
    mask = lanes if counter is None else counter
    call("MOVEMASK", 0, mask & ALL_LANES)
    call("MOVEMASK", 1, mask >> 64)


def barrier() -> None:
    """Everything before is finished."""
    call("BARRIER", PIPES["ALL"])


def call(symbol: str, *operands: Any) -> None:
    """hivm_SYMBOL with integers as 64 bits and everything else as it is."""
    function = getattr(machine.machine(), f"hivm_{symbol}")
    function.restype = None
    values = [ctypes.c_uint64(value) if isinstance(value, int) else value for value in operands]
    function(*values)


def hazards() -> list[str]:
    """Sentences of the launch, without those that only say that the test filled a memory behind the machine's back."""
    return [text for text, _, _ in machine.report()["hazards"] if "nothing wrote" not in text]


def family(prefix: str) -> list[str]:
    """Names of the table that start so."""
    return [name for name in INTRINSICS if name.startswith(prefix)]
