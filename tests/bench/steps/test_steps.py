"""The programs of bench.steps: one sentence for a name that is none, and a figure from the stored points."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import bench
from bench.environment import elsewhere
from bench.steps import encoder_step, scaling
from bench.steps.__main__ import PROGRAMS

RESULTS = Path(str(bench.__file__)).parent / "results"


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.steps", *arguments]
    return subprocess.run(command, cwd=folder, env=elsewhere({}), capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("arguments", "given"), [((), "no step is named"), (("encodr",), "encodr is no step")])
def test_a_name_that_is_none_gets_a_sentence(arguments: tuple[str, ...], given: str, tmp_path: Path) -> None:
    done = run(*arguments, folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"error: {given}: use python -m bench.steps with one of encoder, bert-large, scaling\n"


def test_help_names_every_program(tmp_path: Path) -> None:
    done = run("--help", folder=tmp_path)
    assert done.returncode == 0 and all(name in done.stdout for name in PROGRAMS)


def test_every_stored_point_is_one_that_a_run_would_measure() -> None:
    document = json.loads((RESULTS / "scaling.json").read_text())
    assert [scaling.Point(**result["point"]) for result in document["results"]] == list(scaling.POINTS)
    assert all(set(result["seconds"]) == set(scaling.PARTS) for result in document["results"])


def test_of_the_variants_of_a_contender_the_fastest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"ours": 3.0, "pytorch": 5.0, "pytorch_fused_attention": 4.0}
    monkeypatch.setattr("bench.measure._probe", lambda threads: 1.0)
    monkeypatch.setattr(encoder_step, "_in_process", lambda name, threads: seconds[name])
    monkeypatch.setattr(encoder_step.frameworks, "torch", lambda threads: True)
    result = encoder_step.measure(encoder_step.case(1), 1, 1.0, rounds=2)
    assert result.seconds == {"ours": 3.0, "pytorch": 4.0}


def test_the_figure(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from bench.steps.plot import plot

    plot(json.loads((RESULTS / "scaling.json").read_text())["results"], scaling.PARTS, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").stat().st_size > 0
