"""A benchmark's processes find it in any folder, and every library takes the threads that it is given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench import environment


def test_another_folder_finds_the_package_and_the_kernels(tmp_path: Path) -> None:
    program = "import bench.case, bert_thor.kernels.cases; print(len(bert_thor.kernels.cases.operations()))"
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment.elsewhere({}), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and int(done.stdout) > 10, done.stderr


def test_a_program_with_other_threads_starts_itself_again(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr(environment.os, "execve", lambda path, command, variables: started.append((command, variables)))
    for name, value in environment.variables(2).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["anything", "--threads", "3"])
    environment.ensure(2, "bench.steps")
    assert started == []
    environment.ensure(3, "bench.steps")
    ((command, variables),) = started
    assert command == [sys.executable, "-m", "bench.steps", "--threads", "3"] and variables["OMP_NUM_THREADS"] == "3"
