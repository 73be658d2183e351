"""The machine's shared library: compiled from `machine/*.cc` on first use, called through ctypes."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .errors import AtlasError, CompilerMissingError
from .header import entry_points, table_header

SOURCES = Path(__file__).resolve().parent / "machine"


def build_folder() -> Path:
    """Where built files are kept: ATLAS_BUILD, or a folder of the user's in the temporary directory."""
    default = Path(tempfile.gettempdir()) / f"bert_thor_atlas_{os.getuid()}"
    folder = Path(os.environ.get("ATLAS_BUILD", default))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


@functools.lru_cache(maxsize=1)
def library_path() -> Path:
    """The machine for these sources and this table, compiled when it is not there yet."""
    sources = sorted([*SOURCES.glob("*.cc"), *SOURCES.glob("*.h")])
    texts = [table_header(), entry_points(), *(source.read_text() for source in sources)]
    path = build_folder() / f"libmachine_{hashlib.sha256(''.join(texts).encode()).hexdigest()[:16]}.so"
    if not path.exists():
        _compile([source for source in sources if source.suffix == ".cc"], path)
    return path


def _compile(sources: Sequence[Path], path: Path) -> None:
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        raise CompilerMissingError(
            "no C++ compiler found for the machine: install one (Debian: apt-get install g++), or set CXX"
        )
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        (Path(folder) / "table.h").write_text(table_header())
        (Path(folder) / "entries.inc").write_text(entry_points())
        built = Path(folder) / path.name
        command = [compiler, "-std=c++17", "-O2", "-Wall", "-Wextra", "-ffp-contract=off", "-shared", "-fPIC"]
        command += [f"-I{folder}", f"-I{SOURCES}", "-o", str(built), *map(str, sources)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AtlasError(f"the machine does not compile ({compiler}):\n{done.stderr[:4000]}")
        os.replace(built, path)


@functools.lru_cache(maxsize=1)
def machine() -> ctypes.CDLL:
    """The loaded library with the types of its functions."""
    handle = ctypes.CDLL(str(library_path()))
    handle.machine_memory.restype = ctypes.c_void_p
    handle.machine_memory.argtypes = [ctypes.c_int64, ctypes.c_int64]
    handle.machine_region.argtypes = [ctypes.c_uint64, ctypes.c_uint64]
    handle.machine_program.argtypes = [ctypes.c_int64]
    handle.machine_report.restype = ctypes.c_char_p
    return handle


def begin_launch(arrays: Sequence[np.ndarray]) -> None:
    """Forgets the launch before; the global memory of this one is `arrays`."""
    machine().machine_launch()
    for array in arrays:
        machine().machine_region(array.ctypes.data, array.nbytes)


def begin_program(number: int) -> None:
    """Poisons the on-chip memories and starts all clocks anew."""
    machine().machine_program(number)


def mutate(skip: Sequence[int] = (), moved: Mapping[int, int] | None = None) -> None:
    """Leaves out the flags and barriers of these numbers and moves buffers by bytes, until the next call."""
    moved = moved or {}
    numbers = (ctypes.c_int64 * len(skip))(*skip)
    buffers, distances = (ctypes.c_int64 * len(moved))(*moved), (ctypes.c_int64 * len(moved))(*moved.values())
    count, moves = ctypes.c_int64(len(skip)), ctypes.c_int64(len(moved))
    machine().machine_mutate(numbers, count, buffers, distances, moves)


def report() -> dict[str, Any]:
    """What the launch did: see `machine_report` in core.cc."""
    data: dict[str, Any] = json.loads(machine().machine_report())
    return data
