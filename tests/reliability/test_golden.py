"""The losses of twenty steps equal the stored ones to 1e-5, for every optimizer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bert_thor.optimizer.methods import METHODS

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parent / "golden"
DRIFT = 1e-5
"""Largest relative difference of a loss, on any machine: instruction sets and thread counts differ by 1e-7."""
AMPLIFIED_FROM = {"soap": 2}
"""From this step on an optimizer makes the last bit of a sum visible (soap: eigenvectors of close eigenvalues turn), so
that its later losses are no property of the code."""


def test_every_optimizer_has_golden_losses() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.json")) == sorted(METHODS)


@pytest.fixture(scope="module")
def losses(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    command = [sys.executable, str(HERE / "golden.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path_factory.mktemp("golden"))
    assert done.returncode == 0, done.stderr
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("optimizer", METHODS)
def test_losses_have_not_moved(optimizer: str, losses: dict[str, list[float]]) -> None:
    entry = json.loads((GOLDEN / f"{optimizer}.json").read_text())
    stored, now = np.array(entry["losses"]), np.array(losses[optimizer])
    assert now.shape == stored.shape == (20,)
    steps = AMPLIFIED_FROM.get(optimizer, 20)
    drift = (np.abs(now - stored) / np.abs(stored))[:steps]
    assert (drift <= DRIFT).all(), (
        f"{optimizer}: loss of step {int(np.argmax(drift > DRIFT)) + 1} moved by {drift.max():.2g}; if the change of the "
        'numerics is meant, store new ones with: make golden REASON="why they move"'
    )


def test_storing_needs_a_reason() -> None:
    command = [sys.executable, str(HERE / "golden.py"), "--reason", "because"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "say in a few words why they move" in done.stderr
