"""The compiled kernels under arguments, memory and machines that nobody promised them."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from guard_pages import Guards

HERE = Path(__file__).resolve().parent
KERNELS = HERE.parents[1] / "kernels"


def run(script: str, *arguments: str, **environment: str) -> Any:
    """The last line that a harness prints, as JSON; its last case is the message when it fails or crashes."""
    command = [sys.executable, str(HERE / script), *arguments]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout.splitlines()[-1:]}: status {done.returncode}\n{done.stderr}"
    return json.loads(done.stdout.splitlines()[-1])


def test_every_entry_point_answers_bad_arguments_with_a_status() -> None:
    counts = run("native_arguments.py")
    assert len(counts) >= 30 and min(counts.values()) >= 10 and sum(counts.values()) >= 40_000


def test_no_kernel_touches_memory_outside_its_arrays() -> None:
    assert run("guard_pages.py")["calls"] >= 500


@pytest.mark.parametrize("at_end", [True, False])
def test_a_stray_access_would_be_a_crash(at_end: bool) -> None:
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        array = Guards(at_end).empty((1024,), "float32")
        outside = array.ctypes.data + (array.nbytes if at_end else -1)
        ctypes.string_at(outside, 1)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGSEGV


def test_refused_memory_is_a_status_and_refused_threads_cost_only_time(faults_library: Path) -> None:
    out_of_memory = run("native_refusals.py", str(faults_library), LD_PRELOAD=str(faults_library))
    assert {"thor_fisher_covariance_f32", "thor_cholesky_inverse_f32", "thor_precondition_f32"} <= set(out_of_memory)


@pytest.mark.parametrize("threads", ["0", "-3", "1000000", "99999999999999999999", "many", ""])
def test_absurd_thread_counts_in_the_environment(threads: str) -> None:
    program = (
        "import numpy as np; from bert_thor.kernels.fisher_covariance.native import fisher_covariance as f;"
        "from bert_thor.kernels.library import num_threads;"
        "assert 1 <= num_threads() <= 256; f(np.ones((64, 4096), np.float32), 8); print(1)"
    )
    environment = {**os.environ, "THOR_NUM_THREADS": threads}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "1\n", done.stderr


def stress(sanitizers: str, source: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The thread pool, `source`, under sanitizers and two callers at once."""
    (folder / "parallel.cc").write_text(source)
    command = ["c++", "-std=c++17", "-O1", "-g", f"-fsanitize={sanitizers}", "-DTHOR_X86=1", "-pthread"]
    sources = [str(HERE / "parallel_stress.cc"), str(folder / "parallel.cc")]
    subprocess.run([*command, "-I", str(KERNELS), *sources, "-o", str(folder / "stress")], check=True)
    # The thread sanitizer's memory map needs addresses that are not randomised.
    run_command = ["setarch", "-R", str(folder / "stress")]
    return subprocess.run(run_command, capture_output=True, text=True, check=False)


@pytest.mark.skipif(shutil.which("c++") is None or shutil.which("setarch") is None, reason="no C++ compiler")
@pytest.mark.parametrize("sanitizers", ["thread", pytest.param("address,undefined", marks=pytest.mark.long)])
def test_thread_pool_under_sanitizers(sanitizers: str, tmp_path: Path) -> None:
    done = stress(sanitizers, (KERNELS / "common" / "parallel.cc").read_text(), tmp_path)
    assert done.returncode == 0 and done.stdout == "complete\n" and not done.stderr, done.stderr


@pytest.mark.long
@pytest.mark.skipif(shutil.which("c++") is None or shutil.which("setarch") is None, reason="no C++ compiler")
def test_a_race_in_the_thread_pool_would_be_seen(tmp_path: Path) -> None:
    source = (KERNELS / "common" / "parallel.cc").read_text()
    racing = source.replace("memory_order_release", "memory_order_relaxed").replace(
        "memory_order_acq_rel", "memory_order_relaxed"
    )
    assert racing != source and "data race" in stress("thread", racing, tmp_path).stderr
