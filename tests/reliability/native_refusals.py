"""Calls every typed function of the C ABI while the system refuses it memory or threads.

Run with LD_PRELOAD=<faults library>: `native_refusals.py LIBRARY`. Without threads a call gives the same bytes as
with them; without memory it gives them too, or it says THOR_OUT_OF_MEMORY and has written nothing. Ends with one line
of JSON: the functions that said so.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

from native_arguments import SIZES, Buffers, Function, aot, declared

from bert_thor.kernels.status import Status


def content(buffers: Buffers) -> dict[str, bytes]:
    return {name: bytes(buffers.ffi.buffer(memory)) for name, memory in buffers.memory.items()}


def call(ffi: Any, library: Any, function: Function) -> tuple[int, dict[str, bytes], dict[str, bytes]]:
    """(status, content of all buffers before, and after)."""
    buffers = Buffers(ffi, function)
    before = content(buffers)
    status = getattr(library, function.name)(*buffers.values(function))
    return status, before, content(buffers)


def main() -> None:
    faults = ctypes.CDLL(sys.argv[1])
    ffi, library = aot.open_library()
    functions = [f for f in declared() if "nparam" not in f.arguments]
    SIZES["threads"] = 8
    out_of_memory, results = [], {}
    faults.faults_refuse(0, 1)
    for function in functions:
        print(f"{function.name} without threads", flush=True)
        status, _, results[function.name] = call(ffi, library, function)
        assert status == Status.OK, status
    faults.faults_refuse(1, 0)
    for function in functions:
        print(f"{function.name} without memory", flush=True)
        status, before, after = call(ffi, library, function)
        assert status in (Status.OK, Status.OUT_OF_MEMORY), status
        assert after == (before if status == Status.OUT_OF_MEMORY else results[function.name]), "written in part"
        out_of_memory += [function.name] if status == Status.OUT_OF_MEMORY else []
    faults.faults_refuse(0, 0)
    for function in functions:
        print(f"{function.name} with threads", flush=True)
        status, _, after = call(ffi, library, function)
        assert status == Status.OK and after == results[function.name], "other bytes with threads"
    print(json.dumps(out_of_memory))


if __name__ == "__main__":
    main()
