"""The AKG kernels through the AKG of the installed MindSpore, on this CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from akg_cases import Case, covariance_case, layer_norm_cases
from norm_errors import RATIOS

# AKG unrolls small loops whole, which takes it seconds; these sizes it does not
CASES = (
    [
        case
        for rows, features in ((3, 40), (40, 768))
        for dtype in ("float32", "float16")
        for case in layer_norm_cases(rows, features, dtype, tiled=False)
    ]
    + [case for ratio in RATIOS for case in layer_norm_cases(9, 64, "float32", tiled=False, ratio=ratio)]
    + [covariance_case(100, 80, 32, "float32"), covariance_case(65, 48, 48, "float32")]
)


def run_all(cases: list[Case], folder: Path) -> list[list[np.ndarray]]:
    """The outputs of every case; one process, because importing AKG takes longer than a kernel."""
    jobs = []
    for number, case in enumerate(cases):
        job = {"file": case.file, "function": case.function}
        for kind, arrays in (("inputs", list(case.inputs.values())), ("outputs", case.empty_outputs())):
            job[kind] = [f"{number}_{kind}_{k}.npy" for k in range(len(arrays))]
            for name, array in zip(job[kind], arrays):
                np.save(folder / name, array)
        jobs.append(job)
    (folder / "jobs.json").write_text(json.dumps(jobs))
    script = Path(__file__).parent / "run_on_cpu.py"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, str(script), str(folder)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return [[np.load(folder / name) for name in job["outputs"]] for job in jobs]


def test_against_the_reference(tmp_path: Path) -> None:
    for case, outputs in zip(CASES, run_all(CASES, tmp_path)):
        case.check(*outputs)
