"""Lowers one kernel to CCE with AKG's own entry, as MindSpore calls it; a process of its own, because AKG may end it.

    python lower.py AKG_FOLDER KERNEL.json

Runs in the current folder: leaves kernel.cce and akg_kernel_meta/NAME.json there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

STUB = """#!{python}
import shutil, sys
arguments = sys.argv[1:]
shutil.copy(next(name for name in arguments if name.endswith(".cce")), {kept!r})
open(arguments[arguments.index("-o") + 1], "wb").write(b"not compiled")
"""


def place_compiler(folder: Path) -> None:
    """Put a `ccec` on PATH that keeps the source it is given; the real one compiles it, and comes with CANN."""
    program = folder / "ccec"
    program.write_text(STUB.format(python=sys.executable, kept=str(folder / "kernel.cce")))
    program.chmod(0o755)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"


def main() -> None:
    """See the module."""
    akg_folder, description = Path(sys.argv[1]), Path(sys.argv[2]).read_text()
    place_compiler(Path.cwd())
    sys.path.insert(0, str(akg_folder / "mindspore" / "_akg"))
    from akg.ms import compilewithjson

    sys.exit(0 if compilewithjson(description, {}) else 1)


if __name__ == "__main__":
    main()
