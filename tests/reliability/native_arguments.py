"""Calls every function of the C ABI with arguments that nobody should pass; the answer has to be a status.

The declarations come from the headers, so a new kernel is covered as soon as it is declared. Each typed function is
called once as it should be, then with every argument spoilt in turn: null pointers, sizes that are negative or too
large for any memory, numbers outside every range, absurd thread counts. The entry points for the framework get too few
and too many tensors, wrong types, null pointers and shapes that do not exist. Prints each case before it is tried, so
that a crash names its cause; ends with one line of JSON.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kernels"))

import aot

from bert_thor.kernels.status import Status

SIZES = {
    "rows": 6, "features": 20, "block": 8, "blocks": 3, "n": 20, "outputs": 12, "inputs": 20, "g_block": 5, "a_block": 8,
    "batch": 2, "heads": 2, "length": 5, "head_size": 4, "vocabulary": 30, "classes": 20, "first_block": 0,
    "threads": 1, "site": 3, "probability": 0.1, "eps": 1e-6,
    "parts": 3, "elements": 40, "decay": 0.9, "fresh": 0.1, "correction": 0.5, "rate": 0.1,
    "edge": 5, "keep": 0.9, "scale": 0.5, "limit": 1e3,
}  # fmt: skip
ANY_VALUE = ("threads", "site", "first_block")
"""Numbers that may be anything: every value has to work."""
LARGE = 1 << 16  # bytes of every buffer: more than any of the sizes above needs
INT64_MIN, INT64_MAX, INT32_MAX = -(2**63), 2**63 - 1, 2**31 - 1
ENTRY_POINT = ["nparam", "params", "ndims", "shapes", "dtypes", "stream", "extra"]


class Function(NamedTuple):
    """One declaration of a header."""

    name: str
    types: list[str]
    arguments: list[str]


def declared() -> Iterator[Function]:
    """Every function that the operations' headers declare."""
    for header in aot.headers():
        for function, parameters in re.findall(r"THOR_EXPORT int (\w+)\(([^)]*)\)", header.read_text()):
            pieces = [" ".join(piece.split()) for piece in parameters.split(",")]
            split = [re.fullmatch(r"(.*?)(\w+)", piece) for piece in pieces]
            yield Function(
                function, [match[1].strip() for match in split if match], [match[2] for match in split if match]
            )


class Buffers:
    """Memory for every pointer of a call, filled with ones (as int32 they index the second row)."""

    def __init__(self, ffi: Any, function: Function) -> None:
        self.ffi = ffi
        self.memory = {
            name: ffi.new("char[]", LARGE) for name, kind in zip(function.arguments, function.types) if "*" in kind
        }
        for name, kind in zip(function.arguments, function.types):
            if "float" in kind and "*" in kind:
                ffi.cast("float*", self.memory[name])[0 : LARGE // 4] = [1.0] * (LARGE // 4)

    def values(self, function: Function) -> list[Any]:
        """The arguments of a call as it should be."""
        return [
            self.ffi.cast(kind, self.memory[name]) if "*" in kind else SIZES[name]
            for name, kind in zip(function.arguments, function.types)
        ]


def spoilt(ffi: Any, kind: str, name: str) -> list[Any]:
    """What to pass instead."""
    if "*" in kind:
        return [ffi.NULL]
    if kind == "float":
        return [-1.0, float("nan"), -float("inf")]
    if kind == "int64_t":
        return [-1, INT64_MIN, INT64_MAX, INT64_MAX // 2]
    return [-1, -INT32_MAX - 1, INT32_MAX]


def call_typed(ffi: Any, library: Any, function: Function) -> int:
    """All spoilt calls of a typed function; returns how many there were."""
    buffers = Buffers(ffi, function)
    right = buffers.values(function)
    call = getattr(library, function.name)
    assert call(*right) == Status.OK, f"{function.name} refuses what its header allows"
    count = 0
    for place, (kind, name) in enumerate(zip(function.types, function.arguments)):
        for value in spoilt(ffi, kind, name):
            print(f"{function.name}({name} = {value})", flush=True)
            status = call(*right[:place], value, *right[place + 1 :])
            allowed = (Status.OK,) if name in ANY_VALUE else tuple(code for code in Status if code != Status.OK)
            assert status in allowed, f"status {status}"
            count += 1
    print(f"{function.name}(all sizes 0)", flush=True)
    assert call(*[0 if kind == "int64_t" else value for kind, value in zip(function.types, right)]) in list(Status)
    print(f"{function.name}(every pointer null)", flush=True)
    assert call(*[ffi.NULL if "*" in kind else value for kind, value in zip(function.types, right)]) != Status.OK
    return count + 2


def call_entry_point(ffi: Any, library: Any, function: Function) -> int:
    """All spoilt calls of an entry point for the framework; returns how many there were."""
    call, count = getattr(library, function.name), 0
    memory = ffi.new("char[]", LARGE)
    shapes = {
        "nothing": [], "one": [1], "vector": [20], "negative": [-1], "smallest": [INT64_MIN], "huge": [INT64_MAX],
        "product overflows": [2**40, 2**40], "product wraps to 0": [2**32, 2**32], "negative twice": [-3, -4],
        "zero and huge": [0, INT64_MAX], "huge and zero": [INT64_MAX, 0], "minus one last": [INT64_MIN, -1],
        "cube": [2, 3, 3], "long": [1] * 40,
    }  # fmt: skip
    for tensors in range(16):
        pointers = {
            "data": ffi.new("void*[]", [memory] * tensors),
            "null data": ffi.new("void*[]", [ffi.NULL] * tensors),
        }
        for dtype in (b"float32", b"int32", b"float16", b"bfloat16", b"", None):
            names = [ffi.NULL if dtype is None else ffi.new("char[]", dtype)] * tensors
            for shape_name, shape in shapes.items():
                sizes = ffi.new("int64_t[]", shape or [0])
                for data_name, data in pointers.items():
                    print(f"{function.name}: {tensors} tensors {dtype!r} {shape_name} {data_name}", flush=True)
                    arrays = (ffi.new("int[]", [len(shape)] * tensors), ffi.new("int64_t*[]", [sizes] * tensors))
                    status = call(tensors, data, *arrays, ffi.new("const char*[]", names), ffi.NULL, ffi.NULL)
                    assert status in list(Status), f"status {status}"
                    count += 1
    return count + call_with_broken_arrays(ffi, call, function.name)


def call_with_broken_arrays(ffi: Any, call: Any, name: str) -> int:
    """The arrays of the call themselves are missing or absurd."""
    one = ffi.new("int64_t[]", [1])
    count = 0
    for tensors in range(1, 16):
        right = [
            ffi.new("void*[]", [ffi.new("char[]", 64)] * tensors),
            ffi.new("int[]", [1] * tensors),
            ffi.new("int64_t*[]", [one] * tensors),
            ffi.new("const char*[]", [ffi.new("char[]", b"float32")] * tensors),
        ]
        for place in range(4):
            print(f"{name}: {tensors} tensors, {ENTRY_POINT[place + 1]} null", flush=True)
            assert call(tensors, *right[:place], ffi.NULL, *right[place + 1 :], ffi.NULL, ffi.NULL) != Status.OK
        for ranks in (-1, INT32_MAX, -INT32_MAX - 1):
            print(f"{name}: {tensors} tensors of rank {ranks}", flush=True)
            absurd = ffi.new("int[]", [ranks] * tensors)
            assert call(tensors, right[0], absurd, right[2], right[3], ffi.NULL, ffi.NULL) != Status.OK
        print(f"{name}: {tensors} tensors with null shapes", flush=True)
        shapeless = ffi.new("int64_t*[]", [ffi.NULL] * tensors)
        assert call(tensors, right[0], right[1], shapeless, right[3], ffi.NULL, ffi.NULL) != Status.OK
        count += 8
    for tensors in (-1, INT32_MAX, -INT32_MAX - 1):
        print(f"{name}: {tensors} tensors", flush=True)
        assert call(tensors, *right, ffi.NULL, ffi.NULL) != Status.OK
        count += 1
    return count


def main() -> None:
    ffi, library = aot.open_library()
    counts = {}
    for function in declared():
        if function.arguments == ENTRY_POINT:
            counts[function.name] = call_entry_point(ffi, library, function)
        else:
            counts[function.name] = call_typed(ffi, library, function)
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
