"""The best checkpoint is kept and found by name; a run without progress ends early; a killed run knows both, bit for bit."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bert_thor.cli import main
from bert_thor.convert.command import ConvertConfig, convert
from bert_thor.convert.huggingface import import_huggingface
from bert_thor.errors import CheckpointError, ConvertError
from bert_thor.training.best import best_checkpoint, best_step
from bert_thor.training.checkpoint import checkpoint_path, checkpoint_steps, load_checkpoint
from bert_thor.training.evaluation import Evaluator
from bert_thor.training.run_folder import RunFolder
from bert_thor.training.trainer import Trainer

OPTIONS = (
    "--vocab-size 100 --max-position 32 --hidden-size 16 --num-heads 2 --num-layers 1 --intermediate-size 24 --seed 3 "
    "--optimizer adamw --batch-size 8 --steps 20 --checkpoint-interval 5 --keep-checkpoints 2 --evaluation-interval 16 "
    "--keep-best --early-stop 3 --tensorboard"
)
ACCURACIES = {2: 0.1, 4: 0.3, 6: math.nan, 8: 0.3, 10: 0.2, 12: 0.25, 14: 0.125, 16: 0.5, 18: 0.5, 20: 0.4}
"""What the evaluations say, by step: the best is that of step 4, and the third one after it is that of step 10."""
MESSAGE = "stopped early after step 10/20: 3 evaluations in a row were not better"


class Killed(BaseException):
    """No program catches it."""


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluations say what `ACCURACIES` does."""

    def evaluate(self: Evaluator, step: int, samples: int) -> dict[str, Any]:
        return {
            "step": step,
            "samples": samples,
            "masked_lm_accuracy": ACCURACIES.get(step, 0.0),
            "unigram_accuracy": 0.1,
            "next_sentence_accuracy": 0.5,
            "masked_lm_loss": 4.0,
        }

    monkeypatch.setattr(Evaluator, "compile", lambda self: None)
    monkeypatch.setattr(Evaluator, "evaluate", evaluate)


def pretrain(data: Path, run: Path, *more: str) -> int:
    return main(["pretrain", "--data", str(data), "--run", str(run), *OPTIONS.split(), *more])


@pytest.fixture(scope="module")
def finished(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("finished") / "run"


@pytest.fixture
def run(finished: Path, prepared: Path, tmp_path: Path) -> Path:
    """A copy of the run that was not disturbed."""
    if not finished.exists():
        assert pretrain(prepared, finished) == 0
    return Path(shutil.copytree(finished, tmp_path / "run"))


def state(run: Path, step: int) -> dict[str, Any]:
    return load_checkpoint(checkpoint_path(run / "checkpoints", step)).state


def test_the_best_is_kept_beside_the_newest_and_the_run_ends_early(
    run: Path, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checkpoint_steps(run / "checkpoints") == [4, 5, 10]
    assert [state(run, step)["best"]["step"] for step in (4, 5, 10)] == [4, 4, 4]
    assert [state(run, step)["best"]["evaluations_since"] for step in (4, 5, 10)] == [0, 0, 3]
    stored = json.loads((run / "config.json").read_text())
    assert stored["keep_best"] is True and stored["early_stop"] == 3 and stored["tensorboard"] is True
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "config.json"}
    capsys.readouterr()
    assert main(["pretrain", "--resume", "--run", str(run)]) == 0, "it is complete"
    printed = capsys.readouterr().out
    assert MESSAGE in printed and "best evaluation: masked-LM accuracy 0.3000 at step 4" in printed
    assert "compiling" not in printed
    assert before == {
        path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "config.json"
    }


@pytest.mark.parametrize(("step", "before"), [(5, "_evaluates_now"), (10, "_evaluates_now"), (4, "save"), (10, "save")])
def test_killed_and_resumed_equals_uninterrupted(
    run: Path,
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    step: int,
    before: str,
) -> None:
    """Killed in this step before its evaluation, or between that and its checkpoint."""
    other, method = tmp_path / "other", getattr(Trainer, before)

    def killed(self: Trainer) -> Any:
        if self.progress.step == step:
            raise Killed
        return method(self)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Trainer, before, killed)
        pretrain(prepared, other)
    capsys.readouterr()
    assert pretrain(prepared, other, "--resume") == 0
    assert MESSAGE in capsys.readouterr().out
    assert checkpoint_steps(other / "checkpoints") == checkpoint_steps(run / "checkpoints")
    for kept in checkpoint_steps(run / "checkpoints"):
        ours, theirs = (load_checkpoint(checkpoint_path(folder / "checkpoints", kept)) for folder in (other, run))
        assert ours.state == theirs.state
        for one, another in ((ours.model, theirs.model), (ours.optimizer, theirs.optimizer)):
            assert (
                all(one[name].tobytes() == another[name].tobytes() for name in another) and one.keys() == another.keys()
            )
    name = "training_evaluations.jsonl"
    assert (other / name).read_bytes() == (run / name).read_bytes()


def test_a_run_that_stopped_early_can_go_on(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrain", "--resume", "--run", str(run), "--early-stop", "4"]) == 0
    assert "stopped early after step 12/20: 4 evaluations" in capsys.readouterr().out
    assert checkpoint_steps(run / "checkpoints") == [4, 10, 12], "the last step of a run has a checkpoint"
    assert main(["pretrain", "--resume", "--run", str(run), "--early-stop", "0"]) == 0
    printed = capsys.readouterr().out
    assert "stopped early" not in printed and "masked-LM accuracy 0.5000 at step 16" in printed
    assert checkpoint_steps(run / "checkpoints") == [16, 20]
    assert best_step(RunFolder(run)) == 16


def test_evaluate_and_convert_take_the_best_by_name(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for chosen, steps in (("best", [4]), ("newest", [10]), ("all", [4, 5, 10])):
        assert main(["evaluate", "--run", str(run), "--checkpoint", chosen]) == 0
        found = [line.split()[1] for line in capsys.readouterr().out.splitlines() if "Accuracy:" in line]
        assert found == [str(step) for step in steps]
    convert(ConvertConfig(run, tmp_path / "best", checkpoint="best"))
    expected = load_checkpoint(best_checkpoint(RunFolder(run))).model
    found_weights = import_huggingface(tmp_path / "best").parameters
    assert all(np.array_equal(found_weights[name], expected[name]) for name in expected)
    newest = load_checkpoint(checkpoint_path(run / "checkpoints", 10)).model
    assert any(not np.array_equal(expected[name], newest[name]) for name in expected)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(list(arguments)) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and "\n" not in error
    return error


def test_choices_that_cannot_be_are_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two = ("evaluate", "--run", str(run), "--checkpoint", "best", "--step", "5")
    assert "step 5 and checkpoint best are two choices" in refused(capsys, *two)
    with pytest.raises(ConvertError, match="is one checkpoint"):
        convert(ConvertConfig(checkpoint_path(run / "checkpoints", 5), tmp_path / "x", checkpoint="best"))
    shutil.rmtree(checkpoint_path(run / "checkpoints", 4))
    with pytest.raises(CheckpointError, match=r"best evaluation, step 4, any more.*5, 10"):
        best_step(RunFolder(run))
    (checkpoint_path(run / "checkpoints", 10) / "state.json").write_text("{")
    with pytest.raises(CheckpointError, match="step 4"):  # as the one before it says
        best_step(RunFolder(run))
    for step in (5, 10):
        path = checkpoint_path(run / "checkpoints", step) / "state.json"
        path.write_text(json.dumps({"step": step}))
    with pytest.raises(CheckpointError, match="was not evaluated while it trained"):
        best_step(RunFolder(run))
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        best_step(RunFolder(run))
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("option", [("--keep-best",), ("--early-stop", "2")])
def test_both_need_evaluations(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: tuple[str, ...]
) -> None:
    arguments = ("pretrain", "--data", str(prepared), "--run", str(tmp_path / "run"), *option)
    error = refused(capsys, *arguments)
    assert (
        f"{option[0][2:].replace('-', '_')} needs evaluations while training" in error
        and "--evaluation-interval" in error
    )
    assert not (tmp_path / "run").exists()
