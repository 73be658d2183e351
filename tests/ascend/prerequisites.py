"""Says in one sentence what is missing to run on an Ascend 910, and exits with 1; says nothing where all is there.

Needs the standard library alone, so that it can speak before anything is installed.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

RELEASES = "Python 3.9 with mindspore-ascend 1.10 or mindspore 2.0.0, and the CANN that belongs to it"


def missing(device_folder: Path = Path("/dev")) -> str | None:
    """What is missing, or None."""
    if not list(device_folder.glob("davinci[0-9]*")):
        return f"there is no Ascend device ({device_folder}/davinci0): run this on a machine with an Ascend 910 ({RELEASES})"
    if "ASCEND_OPP_PATH" not in os.environ or shutil.which("ccec") is None:
        return "there is an Ascend device, but CANN is not set up: source its set_env.sh"
    if not any(map(importlib.util.find_spec, ("tbe", "te"))):
        return f"CANN's Python packages (tbe or te) cannot be imported by {sys.executable}: source CANN's set_env.sh"
    return None


if __name__ == "__main__":
    reason = missing()
    if reason:
        sys.exit(f"error: {reason}")
