"""BERT-Large at full size takes a real optimizer step on the CPU within 24 GiB."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from bench.environment import elsewhere


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_one_step(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench.steps", "bert-large"]
    done = subprocess.run(command, cwd=tmp_path, env=elsewhere({}), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout[done.stdout.index("{") :])
    assert report["parameters"] == 336_226_108
    assert report["applied"] and report["refreshed"] and report["failed_blocks"] == 0
    assert abs(report["loss"] - math.log(30522) - math.log(2)) <= 0.5, "an untrained network guesses uniformly"
    assert report["largest_change_of_a_weight"] > 0
    assert report["peak_memory_bytes"] < 24 * 2**30
