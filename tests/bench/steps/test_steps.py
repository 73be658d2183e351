"""The programs of bench.steps: one sentence for a name that is none, and a figure from the stored points."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import bench
from bench.environment import elsewhere
from bench.kernels.results import Row
from bench.steps import activation_memory, encoder_step, race, results, scaling, thor_step
from bench.steps.__main__ import PROGRAMS
from bench.steps.networks import ENCODERS, LABELS, PYTORCH, Setting
from bench.targets import MEMORY, OURS_TWO_THREADS, STEPS, Target

RESULTS = Path(str(bench.__file__)).parent / "results"


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.steps", *arguments]
    return subprocess.run(command, cwd=folder, env=elsewhere({}), capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("arguments", "given"), [((), "no step is named"), (("encodr",), "encodr is no step")])
def test_a_name_that_is_none_gets_a_sentence(arguments: tuple[str, ...], given: str, tmp_path: Path) -> None:
    done = run(*arguments, folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"error: {given}: use python -m bench.steps with one of {', '.join(PROGRAMS)}\n"


def test_help_names_every_program(tmp_path: Path) -> None:
    done = run("--help", folder=tmp_path)
    assert done.returncode == 0 and all(name in done.stdout for name in PROGRAMS)


def test_every_stored_point_is_one_that_a_run_would_measure() -> None:
    document = json.loads((RESULTS / "scaling.json").read_text())
    assert [scaling.Point(**result["point"]) for result in document["results"]] == list(scaling.POINTS)
    assert all(set(result["seconds"]) == set(scaling.PARTS) for result in document["results"])


RACES = (encoder_step.RACE, thor_step.RACE)


def settings() -> list[tuple[race.Race, Setting]]:
    """All that are raced, with every number of threads."""
    return [
        (one, setting)
        for one in RACES
        for threads in (1, 2)
        for setting in one.settings(list(one.networks), list(LABELS), threads)
    ]


def test_every_target_and_every_stored_step_is_one_that_a_run_would_measure() -> None:
    names = {one.case(setting).name for one, setting in settings()} | {activation_memory.NAME}
    assert {target.name for target in STEPS} <= names
    assert {row.name for row in results.rows()} | set(results.memory()) <= names


def test_flop_of_a_step() -> None:
    """4 layers of 256 with a vocabulary of 8192: 2 FLOP for each multiply-add of three passes."""
    rows, hidden, masked = 8 * 128, 256, 8 * 20
    layer = rows * (4 * hidden**2 + 8 * hidden**2 + 2 * 128 * hidden)
    head = masked * hidden * (hidden + 8192) + 8 * hidden * (hidden + 2)
    assert Setting(ENCODERS[256], "float32", 1).flop == 3 * 2 * (4 * layer + head)


def test_a_worker_gets_the_setting_that_its_parent_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[tuple[str, Setting]] = []

    def worker(name: str, setting: Setting) -> float:
        seen.append((name, setting))
        return 0.25

    def run(command: Sequence[str], **_: object) -> None:
        race.main(replace(encoder_step.RACE, worker=worker), command[4:])

    monkeypatch.setattr(race.subprocess, "run", run)
    setting = Setting(ENCODERS[1024], "bfloat16", 2)
    assert race.in_process("encoder", "pytorch_compiled", setting) == 0.25
    assert seen == [("pytorch_compiled", setting)]


def test_of_the_variants_of_a_contender_the_fastest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"ours": 3.0, "pytorch": 5.0, "pytorch_fused_attention": 4.0, "pytorch_compiled": 4.5}
    monkeypatch.setattr("bench.measure._probe", lambda threads: 1.0)
    monkeypatch.setattr(race, "in_process", lambda program, name, setting: seconds[name])
    monkeypatch.setattr(race.frameworks, "torch", lambda threads: True)
    setting = Setting(ENCODERS[768], "bfloat16", 2)
    row = encoder_step.RACE.row(setting, {"fp32": 1.0, "bf16": setting.flop}, rounds=2)
    assert row.seconds == {"ours": 3.0, "pytorch": 4.0} and row.variants == seconds
    assert row.name == "encoder_step forward and backward bf16, 3 layers of 768" and row.percent("pytorch") == 25.0
    target = Target(row.name, OURS_TWO_THREADS, 0.75, at_most=True)
    assert results.found_in([row], {})(target) == (0.75,)


def test_a_contender_that_cannot_run_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> float:
        raise subprocess.CalledProcessError(1, "python")

    monkeypatch.setattr(race, "in_process", fails)
    monkeypatch.setattr(race.frameworks, "torch", lambda threads: True)
    assert race.contenders("encoder", Setting(ENCODERS[256], "float32", 1)) == ["ours", *PYTORCH[:-1]]
    assert "pytorch_compiled is missing" in capsys.readouterr().out
    monkeypatch.setattr(race.frameworks, "torch", lambda threads: None)
    assert race.contenders("encoder", Setting(ENCODERS[256], "float32", 1)) == ["ours"]
    assert "PyTorch is missing" in capsys.readouterr().out


def row(name: str, threads: int, seconds: float) -> Row:
    return Row("encoder_step", name, threads, "GFLOP/s", 8.0, 4.0, {"ours": seconds}, 0.0, 5, False)


def test_stored_rows_are_replaced_by_name_and_threads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    processor = {"processor": "one"}
    monkeypatch.setattr(results, "RESULTS", tmp_path / "steps.json")
    monkeypatch.setattr(results.machine, "describe", lambda: dict(processor))
    results.store([row("a", 1, 1.0), row("a", 2, 2.0)])
    results.store_memory("b", {"fp32": 4, "bf16": 2})
    results.store([row("a", 1, 3.0)])
    assert results.rows() == [row("a", 1, 3.0), row("a", 2, 2.0)]
    half = Target("b", MEMORY, 0.55, at_most=True)
    assert results.memory() == {"b": {"fp32": 4, "bf16": 2}} and results.found_in([], results.memory())(half) == (0.5,)
    processor["processor"] = "another"
    results.store([row("c", 1, 1.0)])
    assert results.rows() == [row("c", 1, 1.0)], "times of two machines are not compared"


def test_activations_are_what_grows_with_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activation_memory, "peak_in_process", lambda precision, sequences: 1000 + 7 * sequences)
    assert activation_memory.activations("float32") == 7 * 8


def test_the_figure(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from bench.steps.plot import plot

    plot(json.loads((RESULTS / "scaling.json").read_text())["results"], scaling.PARTS, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").stat().st_size > 0
