"""The two wheels that hold the compiler, and llvmlite: found, or their absence said in one sentence."""

from __future__ import annotations

import functools
import importlib.util
import os
from pathlib import Path

from .errors import CompilerMissingError
from .machine import build_folder

PACKAGES = ("triton", "ascendnpuir", "llvmlite")


def missing() -> list[str]:
    """The packages that this environment lacks."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def require() -> None:
    """Raises `CompilerMissingError` unless all of them are here."""
    if missing():
        raise CompilerMissingError(
            f"the compiler for Atlas A2/A3 is not in this environment (no {', '.join(missing())}): run `make test-atlas`, "
            "which installs it into .venv-atlas (1 GB), and use .venv-atlas/bin/python"
        )
    os.environ.setdefault("TRITON_CACHE_DIR", str(build_folder() / "triton"))


@functools.lru_cache(maxsize=1)
def compiler_folder() -> Path:
    """The folder of the ascendnpu-ir wheel: bin/bishengir-*, lib/meta_op.*.bc."""
    require()
    specification = importlib.util.find_spec("ascendnpuir")
    assert specification is not None and specification.origin is not None
    return Path(specification.origin).parent
