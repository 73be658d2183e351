"""Fetches the AKG compiler for Ascend 910 into FOLDER: the last release of MindSpore that has it, of which only AKG is kept.

python fetch.py FOLDER
"""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

RELEASE = "mindspore-ascend==1.10.0"
PLATFORMS = {"x86_64": ["manylinux1_x86_64"], "aarch64": ["manylinux2014_aarch64", "linux_aarch64"]}
LIBRARY, PACKAGE = "mindspore/lib/libakg.so", "mindspore/_akg/"
NEWEST_PYTHON = (3, 11)  # AKG hooks into imports by an interface that 3.12 removed


def fetch(folder: Path) -> None:
    """Download and unpack; raises `SystemExit` with one sentence where that cannot be done."""
    if (folder / "complete").is_file():
        return
    if sys.version_info[:2] > NEWEST_PYTHON:
        raise SystemExit(
            f"error: AKG's compiler for Ascend runs on Python 3.9 to 3.11, this is {platform.python_version()}: "
            "make PYTHON=/path/to/python3.11 VENV=.venv311 test-akg"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        _unpack(_download(Path(scratch)), folder)
    (folder / "complete").touch()


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version=3.9", f"--dest={folder}"]
    command += [f"--platform={name}" for name in PLATFORMS.get(platform.machine(), [])]
    done = subprocess.run([*command, RELEASE], capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        reason = (done.stderr.strip() or "nothing was downloaded").splitlines()[-1]
        raise SystemExit(
            f"error: AKG's compiler for Ascend could not be fetched: pip download {RELEASE} (170 MB) says: {reason}"
        )
    return wheels[0]


def _unpack(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        members = [name for name in archive.namelist() if name == LIBRARY or name.startswith(PACKAGE)]
        if LIBRARY not in members:
            raise SystemExit(f"error: {wheel.name} holds no {LIBRARY}; {RELEASE} for this machine has no AKG")
        archive.extractall(folder, members)


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))
