"""What goes wrong around a training step leaves the run whole; `failures.py` holds the scenarios."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).resolve().parent / "failures.py"
SCENARIOS = (
    "poisoned_batches",
    "damaged_checkpoint",
    "no_checkpoint_usable",
    "full_disk",
    "damaged_record",
    "kills_and_signals",
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    command = [sys.executable, str(HARNESS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path_factory.mktemp("failures"))
    assert done.returncode == 0, done.stderr
    found: dict[str, str | None] = json.loads(done.stdout.splitlines()[-1])
    assert sorted(found) == sorted(SCENARIOS)
    return found


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario: str, results: dict[str, str | None]) -> None:
    assert results[scenario] is None, results[scenario]
