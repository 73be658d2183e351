"""The checkpoint writer, broken at every one of its file operations: nothing that was safe is ever lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from reliability_harness import folder_in_memory

HARNESS = Path(__file__).resolve().parent / "checkpoint_faults.py"
MUTANTS = (
    "does not sync",
    "takes damaged for whole",
    "deletes first",
    "leaves files behind",
    "writes JSON in place",
)


def search(library: Path, folder: Path, *mutant: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HARNESS), str(library), str(folder), *mutant]
    environment = {**os.environ, "LD_PRELOAD": str(library)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def outcome(faults_library: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    with folder_in_memory(tmp_path_factory.mktemp("disk")) as folder:
        done = search(faults_library, folder)
    assert done.returncode == 0, done.stderr
    result: dict[str, object] = json.loads(done.stdout)
    return result


def test_every_file_operation_may_fail_be_cut_short_or_be_the_last(outcome: dict[str, dict[str, int]]) -> None:
    broken = outcome["broken"]
    assert len(broken) == 4 * 6 and all(count >= 5 for count in broken.values())
    assert sum(broken.values()) >= 500


def test_order_on_disk(outcome: dict[str, list[str]]) -> None:
    """Every file is synced before the folder gets its name, the name is synced before anything older goes."""
    operations = outcome["operations"]
    named = operations.index("rename /step-00000002")
    deleted = next(k for k, operation in enumerate(operations) if "/.deleting-" in operation)
    before = operations[:named]
    for name in ("model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"):
        assert any(operation.startswith("fsync") and name in operation for operation in before), name
    assert before[-1] == "fsync /.writing-step-00000002"
    assert "fsync " in operations[named:deleted]
    assert not any("step-00000001" in operation for operation in operations[:deleted])


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_spoilt_writer_is_found_out(mutant: str, faults_library: Path, memory_folder: Path) -> None:
    done = search(faults_library, memory_folder, mutant)
    assert done.returncode == 1 and "at operation" in done.stderr and "Traceback" not in done.stderr, done.stderr
