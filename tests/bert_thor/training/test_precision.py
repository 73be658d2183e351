"""--precision end to end on a one-layer network: what the run says, exact resume, start across precisions, evaluation, refusals."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from precisions import AVAILABLE, needs_bfloat16

from bert_thor.cli import main
from bert_thor.ops._backend import VARIABLE
from bert_thor.training.checkpoint import Checkpoint, checkpoint_path, load_checkpoint

SIZES = ("--vocab-size=100", "--max-position=32", "--hidden-size=24", "--num-heads=2", "--num-layers=1",
         "--intermediate-size=40", "--hidden-dropout=0.1", "--attention-dropout=0.1")  # fmt: skip
OPTIONS = ("--batch-size=8", "--refresh-interval=5", "--checkpoint-interval=10", "--seed=3", "--steps=20")
BACKEND = {name: "mindspore" if name == "float16" else "auto" for name in AVAILABLE}


def call(folder: Path, arguments: Sequence[str], backend: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "THOR_BACKEND": backend, "GLOG_v": "3"}
    command = [sys.executable, "-m", "bert_thor.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)


def arguments(data: Path, run: Path, precision: str) -> tuple[str, ...]:
    """Twenty steps with a refresh every five."""
    return ("pretrain", f"--data={data}", f"--run={run}", *SIZES, *OPTIONS, f"--precision={precision}")


def pretrain(data: Path, run: Path, precision: str, *more: str) -> subprocess.CompletedProcess[str]:
    return call(run.parent, (*arguments(data, run, precision), *more), BACKEND[precision])


def losses(run: Path) -> np.ndarray:
    return np.array([json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()])


def checkpoint(run: Path, step: int = 20) -> Checkpoint:
    return load_checkpoint(checkpoint_path(run / "checkpoints", step))


@pytest.fixture(scope="module")
def runs(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of each precision, by its name."""
    folder = tmp_path_factory.mktemp("precisions")
    for precision in BACKEND:
        done = pretrain(prepared, folder / precision, precision)
        assert done.returncode == 0, done.stdout + done.stderr
        (folder / f"{precision}.txt").write_text(done.stdout)
    return folder


@pytest.mark.parametrize("precision", BACKEND)
def test_the_first_line_and_the_configuration_say_it(runs: Path, precision: str) -> None:
    assert (runs / f"{precision}.txt").read_text().startswith(f"precision {precision}: asked for\n")
    assert json.loads((runs / precision / "config.json").read_text())["precision"] == precision


@needs_bfloat16
def test_the_first_loss_of_bfloat16_is_that_of_float32_to_rounding(runs: Path) -> None:
    """With the same dropout masks: the loss is a mean of numbers near log 100 whose logits are near 0."""
    first, exact = losses(runs / "bfloat16")[0], losses(runs / "float32")[0]
    assert abs(first - exact) <= 2.0**-8 * exact


@pytest.mark.parametrize("precision", BACKEND)
def test_it_learns(runs: Path, precision: str) -> None:
    found = losses(runs / precision)
    assert len(found) == 20 and np.isfinite(found).all()
    assert found[-5:].mean() < found[:5].mean()


@pytest.mark.parametrize("precision", BACKEND)
def test_a_checkpoint_is_float32_whatever_the_precision(runs: Path, precision: str) -> None:
    """The same names, shapes and types, but for the loss scale of float16; and weights that no type of 16 bits holds."""
    ours, theirs = checkpoint(runs / precision), checkpoint(runs / "float32")
    for one, other in ((ours.model, theirs.model), (ours.optimizer, theirs.optimizer)):
        assert {name: (one[name].shape, one[name].dtype) for name in other} == {
            name: (value.shape, value.dtype) for name, value in other.items()
        }
        assert all("scale" in name for name in set(one) - set(other))
    table = ours.model["bert.embedding.token_table"]
    assert (table.view(np.uint32) & 0x1FFF != 0).mean() > 0.9


@needs_bfloat16
def test_bfloat16_resumed_is_bit_for_bit_the_same(prepared: Path, tmp_path: Path, runs: Path) -> None:
    """From the run as it was when the checkpoint of step 10 had just been written."""
    run = Path(shutil.copytree(runs / "bfloat16", tmp_path / "run"))
    shutil.rmtree(checkpoint_path(run / "checkpoints", 20))
    metrics = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(metrics[:10]))
    done = pretrain(prepared, run, "bfloat16", "--resume")
    assert done.returncode == 0 and "at step 10" in done.stdout, done.stdout + done.stderr
    ours, expected = checkpoint(run), checkpoint(runs / "bfloat16")
    for one, other in ((ours.model, expected.model), (ours.optimizer, expected.optimizer)):
        assert one.keys() == other.keys()
        assert all(one[name].tobytes() == other[name].tobytes() for name in one)
    assert (losses(run) == losses(runs / "bfloat16")).all()


@needs_bfloat16
def test_resuming_in_another_precision_is_refused(
    prepared: Path, runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for precision in ("float32", "float16"):
        monkeypatch.setenv(VARIABLE, BACKEND[precision])
        assert main([*arguments(prepared, runs / "bfloat16", precision), "--resume"]) == 1
        error = capsys.readouterr().err
        assert f"was started with precision=bfloat16, not {precision}: resume with the same value" in error


@pytest.mark.parametrize(
    ("before", "now"),
    [
        pytest.param("float32", "bfloat16", marks=needs_bfloat16),
        pytest.param("bfloat16", "float32", marks=[pytest.mark.long, needs_bfloat16]),
        pytest.param("float16", "bfloat16", marks=[pytest.mark.long, needs_bfloat16]),
    ],
)
def test_a_run_starts_from_one_of_another_precision(
    prepared: Path, tmp_path: Path, runs: Path, before: str, now: str
) -> None:
    """Its first loss is near the other's last ones, far from that of random weights."""
    done = pretrain(prepared, tmp_path / "run", now, f"--start={runs / before}", "--steps=2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert losses(tmp_path / "run")[0] < losses(runs / before)[:5].mean()


@needs_bfloat16
def test_a_precision_that_cannot_be_had_writes_nothing(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for precision, backend, remedy in (
        ("float16", "auto", "set THOR_BACKEND"),
        ("bfloat16", "mindspore", "unset THOR_BACKEND"),
    ):
        monkeypatch.setenv(VARIABLE, backend)
        assert main(arguments(prepared, tmp_path / "run", precision)) == 1
        (sentence,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert remedy in sentence and not (tmp_path / "run").exists()


@needs_bfloat16
def test_evaluation_uses_the_precision_of_the_run(prepared: Path, runs: Path) -> None:
    """By default: here that is bfloat16, whose loss is that of float32 to rounding, but not to the bit."""
    found = []
    for more in ((), ("--precision=float32",)):
        asked = ("evaluate", f"--data={prepared}", f"--run={runs / 'bfloat16'}", "--step=20", *more)
        done = call(runs, asked, "auto")
        assert done.returncode == 0, done.stderr
        found.append(json.loads((runs / "bfloat16" / "evaluation.json").read_text())[0]["masked_lm_loss"])
    assert 0 < abs(found[0] - found[1]) <= 2.0**-8 * found[1]
