"""Runs every kernel against its reference under valgrind, which sees reads of memory that was never written.

    python tests/reliability/valgrind.py

Valgrind knows no AVX-512, so the kernels fall back to AVX2 by themselves. Python and NumPy have findings of their own;
what counts is a finding with libthor_kernels.so in its stack. Takes minutes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = """
from bert_thor.doctor.self_test import self_test
verdicts = list(self_test())
assert verdicts and all(verdict.passed for verdict in verdicts), verdicts
print(len(verdicts), "comparisons,", ", ".join(sorted({verdict.instruction_set.name.lower() for verdict in verdicts})))
"""


def main() -> None:
    if shutil.which("valgrind") is None:
        raise SystemExit("error: valgrind is not installed (Debian: apt-get install valgrind)")
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        command = [
            "valgrind",
            "--leak-check=no",
            "--error-limit=no",
            f"--log-file={log}",
            sys.executable,
            "-c",
            PROGRAM,
        ]
        environment = {**os.environ, "PYTHONMALLOC": "malloc", "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        findings = re.split(r"\n==\d+== \n", log.read_text())
    ours = [finding for finding in findings if "libthor_kernels.so" in finding]
    print(done.stdout + done.stderr[-2000:])
    for finding in ours:
        print(finding)
    print(f"{len(ours)} findings in the kernels")
    raise SystemExit(1 if ours or done.returncode else 0)


if __name__ == "__main__":
    main()
