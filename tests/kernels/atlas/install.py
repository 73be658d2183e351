"""Makes the environment of `make test-atlas`: the compiler's two wheels from PyPI, llvmlite, pytest, and this package.

install.py FOLDER. Python 3.11 on x86-64 Linux, for which the wheels are made; about 1 GB.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PYTHON, MACHINE = (3, 11), "x86_64"
FINDER = f'''"""Finds bert_thor and bert_thor.kernels in the working tree, as an editable install does, without MindSpore."""

import importlib.util
import sys

FOLDERS = {{"bert_thor": {str(ROOT / "bert_thor")!r}, "bert_thor.kernels": {str(ROOT / "kernels")!r}}}


class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        folder = FOLDERS.get(name)
        if folder is None:
            return None
        file = folder + "/__init__.py"
        return importlib.util.spec_from_file_location(name, file, submodule_search_locations=[folder])


sys.meta_path.insert(0, Finder)
'''


def install(folder: Path) -> None:
    """Creates or completes the environment; raises `SystemExit` with one sentence where that cannot be done."""
    if sys.version_info[:2] != PYTHON or platform.machine() != MACHINE:
        raise SystemExit(
            f"error: the compiler for Atlas A2/A3 is made for Python 3.11 on {MACHINE}, this is {platform.python_version()} on "
            f"{platform.machine()}: make PYTHON311=/path/to/python3.11 test-atlas"
        )
    venv.create(folder, with_pip=True, symlinks=True)
    command = [
        str(folder / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
    ]
    done = subprocess.run([*command, "-r", str(REQUIREMENTS)], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        raise SystemExit(f"error: the compiler for Atlas A2/A3 could not be installed (1 GB): pip says: {reason}")
    packages = next((folder / "lib").glob("python*")) / "site-packages"
    (packages / "bert_thor_finder.py").write_text(FINDER)
    (packages / "bert_thor.pth").write_text("import bert_thor_finder\n")


if __name__ == "__main__":
    install(Path(sys.argv[1]))
