"""Loads a Triton kernel from a file, which need not belong to a package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from . import wheels
from .errors import ArgumentError


def load(place: str) -> Any:
    """The kernel FILE.py:KERNEL, a function under `@triton.jit`."""
    wheels.require()
    path, _, name = place.rpartition(":")
    file = Path(path).resolve()
    if not path or not file.is_file():
        raise ArgumentError(f"{place!r} names no kernel: give FILE.py:KERNEL of a file that exists")
    module = _module(file)
    kernel = getattr(module, name, None)
    if kernel is None or not hasattr(kernel, "arg_names"):
        raise ArgumentError(f"{file} has no Triton kernel {name!r}")
    return kernel


def _module(file: Path) -> Any:
    specification = importlib.util.spec_from_file_location(f"atlas_kernel_{file.parent.name}_{file.stem}", file)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    try:
        specification.loader.exec_module(module)
    except Exception as error:  # whatever a foreign file raises
        raise ArgumentError(f"{file} cannot be imported: {type(error).__name__}: {error}") from error
    return module
