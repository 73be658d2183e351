"""The loop end to end on a one-layer network: log, metrics, learning, exact resume after a kill, baselines."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bert_thor.cli import main
from bert_thor.training.checkpoint import checkpoint_path, checkpoint_steps, load_checkpoint

SIZES = [
    "--vocab-size",
    "100",
    "--max-position",
    "32",
    "--hidden-size",
    "24",
    "--num-heads",
    "2",
    "--num-layers",
    "1",
    "--intermediate-size",
    "40",
]
SCHEDULE = [
    "--batch-size",
    "8",
    "--refresh-interval",
    "5",
    "--log",
    "original",
    "--log-interval",
    "10",
    "--checkpoint-interval",
    "10",
    "--seed",
    "3",
]
LOG_LINE = re.compile(
    r"epoch: \d+, step: (\d+), outputs are \[[\d.]+\], total_time_span is [\d.e-]+, step_time_span is [\d.e-]+"
)
METRICS = (
    "step",
    "samples",
    "loss",
    "learning_rate",
    "damping",
    "step_seconds",
    "refresh_seconds",
    "samples_per_second",
)


def command(data: Path, run: Path, steps: int, *more: str) -> list[str]:
    return [
        *(
            sys.executable,
            "-m",
            "bert_thor.cli",
            "pretrain",
            "--recipe",
            "demo",
            "--data",
            str(data),
            "--run",
            str(run),
        ),
        *("--steps", str(steps), *SIZES, *SCHEDULE, *more),
    ]


def metrics(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def train(data: Path, run: Path, steps: int, *more: str) -> str:
    done = subprocess.run(
        command(data, run, steps, *more), capture_output=True, text=True, cwd=data.parent, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def uninterrupted(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run of 60 steps without any disturbance, and what it printed; its graphs are beside it."""
    run = tmp_path_factory.mktemp("uninterrupted") / "run"
    return run, train(prepared, run, 60, "--compile-cache", str(run.parent / "graphs"))


def test_run_folder_log_and_metrics(uninterrupted: tuple[Path, str]) -> None:
    run, printed = uninterrupted
    assert [int(match.group(1)) for match in map(LOG_LINE.search, printed.splitlines()) if match] == [
        1,
        10,
        20,
        30,
        40,
        50,
        60,
    ]
    assert "kronecker" in printed and "parameters, 6 preconditioned" in printed
    lines = metrics(run)
    assert [line["step"] for line in lines] == list(range(1, 61))
    assert all(name in line for line in lines for name in METRICS)
    assert [line["samples"] for line in lines] == [8 * step for step in range(1, 61)]
    assert {line["step"] for line in lines if line["refresh_seconds"] > 0} == set(range(1, 61, 5))
    resolved = json.loads((run / "config.json").read_text())
    assert (
        resolved["model.hidden_size"] == 24 and resolved["optimizer.refresh_interval"] == 5 and resolved["steps"] == 60
    )
    assert checkpoint_steps(run / "checkpoints") == [40, 50, 60]


def test_the_loss_falls(uninterrupted: tuple[Path, str]) -> None:
    losses = [line["masked_lm_loss"] for line in metrics(uninterrupted[0])]
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 0.3
    assert abs(losses[0] - np.log(100)) < 0.3  # an untrained network guesses uniformly


@pytest.mark.parametrize(("number", "cached"), [(signal.SIGKILL, True), (signal.SIGTERM, False)])
def test_interrupted_and_resumed_equals_uninterrupted(
    prepared: Path, tmp_path: Path, uninterrupted: tuple[Path, str], number: signal.Signals, cached: bool
) -> None:
    """With a compile cache too: the runs take their graphs from there, not their weights."""
    run = tmp_path / "run"
    more = ("--compile-cache", str(uninterrupted[0].parent / "graphs")) if cached else ()
    quiet = {
        **os.environ,
        "GLOG_v": "3",
    }  # MindSpore's warnings would fill the pipes, which nobody reads before the end
    process = subprocess.Popen(
        command(prepared, run, 60, *more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        text=True,
        env=quiet,
    )
    deadline = time.monotonic() + 120
    while not checkpoint_steps(run / "checkpoints") and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number), errors
    reached = checkpoint_steps(run / "checkpoints")[-1]
    assert 10 <= reached < 60
    if number == signal.SIGTERM:
        assert f"step {reached} is saved" in errors
    printed = train(prepared, run, 60, "--resume", *more)
    assert f"at step {reached}" in printed and ("loading the graphs" in printed) == cached
    expected = uninterrupted[0]
    assert [(line["step"], line["loss"]) for line in metrics(run)] == [
        (line["step"], line["loss"]) for line in metrics(expected)
    ]
    assert_same_checkpoints(run, expected, 60)


def test_damaged_rows_stop_the_run_or_are_skipped_and_counted(prepared: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(prepared, tmp_path / "data"))
    first = data / "train" / "part-00000-of-00001.tfrecord"
    spoil(first, every=5)
    arguments = ("--optimizer", "adamw", "--learning-rate", "0.003", "--no-shuffle")
    done = subprocess.run(
        command(data, tmp_path / "stops", 5, *arguments), capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 1 and f"error: {first}" in done.stderr.splitlines()[-1], done.stderr
    train(data, tmp_path / "run", 5, *arguments, "--skip-damaged", "--prefetch", "0")
    assert [line["damaged_rows"] for line in metrics(tmp_path / "run")] == [
        2,
        4,
        5,
        7,
        8,
    ]  # rows 0, 5, 10, ... of batches of 8


def spoil(path: Path, every: int) -> None:
    """Change a byte in each `every`-th record, from the first on."""
    content, start, record = bytearray(path.read_bytes()), 0, 0
    while start < len(content):
        if record % every == 0:
            content[start + 20] ^= 1
        start, record = start + 16 + int.from_bytes(content[start : start + 8], "little"), record + 1
    path.write_bytes(content)


def test_adamw_runs_in_the_same_loop(prepared: Path, tmp_path: Path) -> None:
    printed = train(prepared, tmp_path / "run", 20, "--optimizer", "adamw", "--learning-rate", "0.003")
    assert "0 preconditioned" in printed
    lines = metrics(tmp_path / "run")
    assert lines[-1]["loss"] < lines[0]["loss"] and all(line["refresh_seconds"] == 0 for line in lines)
    stored = load_checkpoint(checkpoint_path(tmp_path / "run" / "checkpoints", 20)).optimizer
    assert not [name for name in stored if name.startswith(("factor_", "inverse_"))]


def test_evaluate_prints_the_originals_line_and_writes_json(prepared: Path, uninterrupted: tuple[Path, str]) -> None:
    run = uninterrupted[0]
    arguments = [sys.executable, "-m", "bert_thor.cli", "evaluate", "--run", str(run), "--data", str(prepared)]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=prepared.parent, check=False)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^step:  (\d+) Accuracy:  \[0\.\d+\]$", done.stdout, re.MULTILINE) == ["40", "50", "60"]
    reports = json.loads((run / "evaluation.json").read_text())
    assert [report["step"] for report in reports] == [40, 50, 60] and reports[-1]["samples"] == 480
    manifest = json.loads((prepared / "manifest.json").read_text())
    for report in reports:
        assert report["unigram_accuracy"] == pytest.approx(manifest["unigram"]["held_out_accuracy"], abs=1e-12)
        assert 0.0 <= report["masked_lm_accuracy"] <= 1.0 and 0.0 <= report["next_sentence_accuracy"] <= 1.0
        assert report["masked_lm_loss"] < np.log(100) + 0.1


SCALED = ("--loss-scale", "dynamic", "--loss-scale-window", "6", "--accumulate", "2")
DROPOUT = ("--hidden-dropout", "0.1", "--attention-dropout", "0.1")
OVERFLOWS = (4, 7, 17)
"""Steps, from 1, whose batch is spoiled; 7 would refresh, because it is the sixth but for the lost one."""
SPOILED = f"""
import os, signal, sys
import numpy as np
from bert_thor.cli import main
from bert_thor.training.trainer import Trainer
inputs = Trainer._inputs
def spoiled(self, batch):
    step = self.progress.step + 1
    if step == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    if step in {OVERFLOWS}:
        batch = batch._replace(masked_lm_weights=np.full_like(batch.masked_lm_weights, np.inf))
    return inputs(self, batch)
Trainer._inputs = spoiled
sys.exit(main(sys.argv[2:]))
"""


def spoiled(data: Path, run: Path, killed_at: int, *more: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """25 steps of which some overflow; the process is killed in step `killed_at`."""
    program = run.parent / "spoiled.py"
    program.write_text(SPOILED)
    arguments = [sys.executable, str(program), str(killed_at), *command(data, run, 25, *SCALED, *more)[3:]]
    environment = {**os.environ, "GLOG_v": "3", **variables}
    return subprocess.run(arguments, capture_output=True, text=True, cwd=run.parent, env=environment, check=False)


@pytest.mark.parametrize(
    ("precision", "backend", "dropout"),
    [
        pytest.param("float32", "auto", DROPOUT, id="float32"),
        pytest.param("float16", "mindspore", (), id="float16", marks=pytest.mark.long),
    ],
)
def test_a_scaled_and_accumulated_run_resumes_exactly(
    prepared: Path,
    tmp_path: Path,
    precision: str,
    backend: str,
    dropout: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without dropout where its masks come from MindSpore's generator, which knows no seed of a step."""
    more = ("--precision", precision, "--compile-cache", str(tmp_path / "graphs"), *dropout)
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    done = spoiled(prepared, whole, 0, *more, THOR_BACKEND=backend)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = metrics(whole)
    assert [line["step"] for line in lines if not line["applied"]] == [*OVERFLOWS]
    assert [line["overflows"] for line in lines][-1] == len(OVERFLOWS) == lines[-1]["skipped_steps"]
    scales = [line["loss_scale"] / 2**16 for line in lines]
    assert scales == [1] * 4 + [0.5] * 3 + [0.25] * 6 + [0.5] * 4 + [0.25] * 6 + [0.5] * 2
    changes = re.findall(r"^loss scale (\d+) -> (\d+) after step (\d+): (.*)$", done.stdout, re.MULTILINE)
    assert changes == [
        ("65536", "32768", "4", "overflow"),
        ("32768", "16384", "7", "overflow"),
        ("16384", "32768", "13", "6 steps in a row were finite"),
        ("32768", "16384", "17", "overflow"),
        ("16384", "32768", "23", "6 steps in a row were finite"),
    ]
    refreshed = [line["step"] for line in lines if line["refreshed"]]
    assert refreshed == [1, 8, 13, 19, 24]  # after 0, 5, 10, ... steps that were applied
    done = spoiled(prepared, halves, 15, *more, THOR_BACKEND=backend)
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
    done = spoiled(prepared, halves, 0, "--resume", *more, THOR_BACKEND=backend)
    assert done.returncode == 0 and "at step 10" in done.stdout, done.stdout + done.stderr
    exact = ("step", "loss", "gradient_norm", "loss_scale", "overflows", "skipped_steps", "learning_rate", "curvature")
    assert [[line[name] for name in exact] for line in metrics(halves)] == [
        [line[name] for name in exact] for line in lines
    ]
    assert_same_checkpoints(whole, halves, 25)
    monkeypatch.setenv("THOR_BACKEND", backend)
    for other, named in (("--accumulate=4", "accumulate=2, not 4"), ("--loss-scale=8", "loss_scale=dynamic, not 8.0")):
        assert main([*command(prepared, halves, 25, *SCALED, *more, "--resume", other)[3:]]) == 1
        error = capsys.readouterr().err
        assert "was started with " in error and named in error


def assert_same_checkpoints(run: Path, expected: Path, step: int) -> None:
    ours, theirs = (load_checkpoint(checkpoint_path(folder / "checkpoints", step)) for folder in (run, expected))
    for part in ("model", "optimizer"):
        one, other = getattr(ours, part), getattr(theirs, part)
        assert one.keys() == other.keys()
        assert all(one[name].tobytes() == other[name].tobytes() for name in one), part


def test_nothing_is_finite(prepared: Path, tmp_path: Path) -> None:
    """The search for a scale does not end a run; that no scale helps does, and so does a constant scale that never does."""
    run = tmp_path / "run"
    program = tmp_path / "spoiled.py"
    program.write_text(SPOILED.replace(f"step in {OVERFLOWS}", "step > 1"))
    for scale, last, remedy in (("dynamic", 1 + 16 + 10, "new run"), ("8", 1 + 10, "or with --loss-scale dynamic")):
        run = tmp_path / scale
        arguments = command(prepared, run, 60, "--optimizer", "adamw", "--loss-scale", scale)[3:]
        done = subprocess.run(
            [sys.executable, str(program), "0", *arguments], capture_output=True, text=True, cwd=tmp_path, check=False
        )
        assert done.returncode == 1, done.stdout + done.stderr
        assert f"in 10 steps in a row up to step {last}" in done.stderr and remedy in done.stderr
        assert metrics(run)[-1]["overflows"] == last - 1
