"""The scripts of `examples/`, run as a reader runs them, with one learning rate and few steps."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NAMES = ("digits", "encoder", "gpt")
LINE = re.compile(r"(thor|adam), rate 0\.01: training loss from (\S+) to (\S+)")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """All at once: each compiles its graphs on one core for most of its time."""
    folder = tmp_path_factory.mktemp("examples")
    children = {}
    for name in NAMES:
        command = [sys.executable, str(EXAMPLES / f"{name}.py"), "--rates", "1e-2", "--steps", "40"]
        children[name] = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    yield children
    for child in children.values():
        child.kill()
        child.wait()


def test_every_script_is_run() -> None:
    scripts = {path.stem for path in EXAMPLES.glob("*.py") if "__main__" in path.read_text(encoding="utf-8")}
    assert scripts == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_prints_both_losses_and_thors_falls(name: str, running: dict[str, subprocess.Popen[str]]) -> None:
    printed, _ = running[name].communicate(timeout=500)
    assert running[name].returncode == 0, printed
    losses = {optimizer: (float(first), float(last)) for optimizer, first, last in LINE.findall(printed)}
    assert set(losses) == {"thor", "adam"}, printed
    assert all(math.isfinite(loss) for pair in losses.values() for loss in pair), printed
    first, last = losses["thor"]
    assert last < first, printed
    assert losses["adam"][0] == first, "both start from the same weights and see the same batches"


def test_a_run_too_short_for_its_mean_is_refused() -> None:
    command = [sys.executable, str(EXAMPLES / "digits.py"), "--steps", "10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "--steps is 10: the loss is a mean over the last 20 steps" in done.stderr
