"""What TensorBoard is given: the events of a run, read back by another reader, with nothing twice after a resume."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

from bert_thor.cli import main
from bert_thor.data.records.record_file import RecordFile
from bert_thor.training.report import MASKED_LM_ACCURACY, TRAINING_LOSS
from bert_thor.training.tensorboard import OF_EVALUATIONS, OF_STEPS, Events

OPTIONS = (
    "--vocab-size 100 --max-position 32 --hidden-size 16 --num-heads 2 --num-layers 1 --intermediate-size 24 --seed 3 "
    "--optimizer adamw --batch-size 8 --checkpoint-interval 4 --evaluation-interval 24"
)


def events(folder: Path) -> list[Any]:
    """All events of all files, in the order in which TensorBoard reads them."""
    from tensorboardX.proto.event_pb2 import Event

    files = [RecordFile(path) for path in sorted(folder.iterdir())]
    return [Event.FromString(file.read(number)) for file in files for number in range(len(file))]


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows: a start makes void what was there of its step and of later ones."""
    from tensorboardX.proto.event_pb2 import SessionLog

    found: dict[str, list[tuple[int, float]]] = {}
    for event in events(folder):
        if event.HasField("session_log") and event.session_log.status == SessionLog.START:
            found = {tag: [point for point in points if point[0] < event.step] for tag, points in found.items()}
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def expected(run: Path) -> dict[str, list[tuple[int, float]]]:
    """The curves, from what the run itself keeps."""
    found: dict[str, list[tuple[int, float]]] = {}
    for names, file in ((OF_STEPS, "metrics.jsonl"), (OF_EVALUATIONS, "training_evaluations.jsonl")):
        lines = [json.loads(line) for line in (run / file).read_text().splitlines()]
        for tag, name in names.items():
            found[tag] = [(line["step"], line[name]) for line in lines]
    return found


def assert_shown(run: Path) -> None:
    shown, kept = curves(run / "tensorboard"), expected(run)
    assert shown.keys() == kept.keys()
    for tag, points in kept.items():
        assert [step for step, _ in shown[tag]] == [step for step, _ in points], tag
        for (_, one), (_, other) in zip(shown[tag], points):
            assert abs(one - other) <= 2.0**-24 * abs(other), tag  # rounded to float32


def test_a_resumed_run_has_the_curves_of_its_metrics(prepared: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = ["pretrain", "--data", str(prepared), "--run", str(run), *OPTIONS.split(), "--tensorboard"]
    assert main([*arguments, "--steps", "10"]) == 0
    assert events(run / "tensorboard")[0].file_version == "brain.Event:2"
    assert {TRAINING_LOSS, MASKED_LM_ACCURACY} <= curves(run / "tensorboard").keys()
    assert [step for step, _ in curves(run / "tensorboard")[MASKED_LM_ACCURACY]] == [3, 6, 9]
    assert_shown(run)
    assert main(["pretrain", "--run", str(run), "--resume-from", "4", "--steps", "14"]) == 0
    assert len(list((run / "tensorboard").iterdir())) == 2
    assert_shown(run)
    assert [step for step, _ in curves(run / "tensorboard")[TRAINING_LOSS]] == list(range(1, 15))


def test_a_loss_that_is_no_number_is_no_point(tmp_path: Path) -> None:
    log = Events(tmp_path, 0)
    values = dict.fromkeys(OF_STEPS.values(), 0.5)
    log.step({"step": 1, **values, "loss": math.nan})
    log.step({"step": 2, **values})
    log.flush()
    found = curves(tmp_path)  # though the file is still open
    assert found[TRAINING_LOSS] == [(2, 0.5)] and found["learning rate"] == [(1, 0.5), (2, 0.5)]
    log.close()


def test_without_the_package_a_sentence_and_nothing_written(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    run = tmp_path / "run"
    arguments = ["pretrain", "--data", str(prepared), "--run", str(run), *OPTIONS.split(), "--steps", "2"]
    assert main([*arguments, "--tensorboard"]) == 1
    error = capsys.readouterr().err.strip()
    assert error == "error: tensorboard needs tensorboardX: install it with `pip install 'bert-thor[tensorboard]'`"
    assert not run.exists()
