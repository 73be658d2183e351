"""`bert-thor report`: the table's numbers, the picture, and what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from bert_thor.cli import main
from bert_thor.errors import ConfigError
from bert_thor.training.report import ReportConfig, read_run, report


def make_run(path: Path, optimizer: str, accuracies: dict[int, float], steps: int = 100) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"optimizer.name": optimizer}))
    lines = [{"step": k, "samples": 16 * k, "loss": 10.0 - 0.05 * k, "step_seconds": 0.5} for k in range(1, steps + 1)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 10')
    entries = [{"step": k, "samples": 16 * k, "masked_lm_accuracy": value} for k, value in accuracies.items()]
    (path / "evaluation.json").write_text(json.dumps(entries))
    return path


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    fast = make_run(tmp_path / "fast", "thor", {20: 0.1, 40: 0.3, 100: 0.4})
    slow = make_run(tmp_path / "slow", "adamw", {50: 0.1, 100: 0.2})
    return fast, slow


def test_costs_of_the_target_are_interpolated(runs: tuple[Path, Path], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    printed = report(ReportConfig(runs=runs, output=tmp_path / "out.png")).splitlines()
    assert "steps to 0.2000" in printed[0]
    assert printed[1].split() == ["fast", "thor", "100", "1600", "50", "6.2250", "0.4000", "30", "480", "15"]
    assert printed[2].split() == ["slow", "adamw", "100", "1600", "50", "6.2250", "0.2000", "100", "1600", "50"]
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    numbers = json.loads((tmp_path / "out.json").read_text())
    assert [entry["to_target"]["steps"] for entry in numbers] == [30.0, 100.0]


def test_a_target_that_a_run_misses(runs: tuple[Path, Path], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    printed = report(ReportConfig(runs=runs, output=tmp_path / "out.png", target=0.35)).splitlines()
    assert printed[1].split()[-3:] == ["70", "1120", "35"] and printed[2].split()[-3:] == ["-", "-", "-"]


def test_a_target_that_the_first_evaluation_has_passed(runs: tuple[Path, Path], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    printed = report(ReportConfig(runs=runs, output=tmp_path / "out.png", target=0.05)).splitlines()
    assert printed[1].split()[-3:] == ["<=20", "<=320", "<=10"]
    assert all(entry["to_target_is_upper_bound"] for entry in json.loads((tmp_path / "out.json").read_text()))


def test_the_loss_is_a_running_mean(runs: tuple[Path, Path]) -> None:
    run = read_run(runs[0])
    losses = 10.0 - 0.05 * np.arange(1, 101)
    expected = [losses[max(0, k - 50) : k].mean() for k in range(1, 101)]
    assert (np.abs(run.smooth_loss() - expected) <= 1e-12 * 10 * 100).all()


def test_refusals(runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, fragment in (
        ([str(tmp_path / "nowhere")], "nowhere holds no run"),
        ([], "no run is named"),
    ):
        assert main(["report", *arguments]) == 1
        error = capsys.readouterr().err.strip()
        assert error.startswith("error: ") and fragment in error and "\n" not in error
    (runs[0] / "evaluation.json").unlink()
    with pytest.raises(ConfigError, match="has no evaluation: run `bert-thor evaluate"):
        read_run(runs[0])


def test_one_sentence_without_matplotlib(runs: tuple[Path, Path], tmp_path: Path) -> None:
    with (
        mock.patch.dict(sys.modules, {"matplotlib": None}),
        pytest.raises(ConfigError, match=r"needs matplotlib: install it"),
    ):
        report(ReportConfig(runs=runs, output=tmp_path / "out.png"))
    assert not (tmp_path / "out.png").exists() and not (tmp_path / "out.json").exists()


def test_evaluations_on_other_rows_are_not_mixed(runs: tuple[Path, Path]) -> None:
    """The rows of the last evaluation are reported, with those that were made of them while training; none counts without an accuracy."""
    held_out = {"rows": "held-out", "row_count": 9, "data_sha256": "a"}
    other = {"rows": "evaluation-data", "row_count": 9, "data_sha256": "b"}
    while_training = [
        {"step": 20, "masked_lm_accuracy": 0.1, **held_out},
        {"step": 40, "masked_lm_accuracy": 0.2, **held_out},
    ]
    (runs[0] / "training_evaluations.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in while_training))
    entries = [
        {"step": 100, "masked_lm_accuracy": 0.9, **other},
        {"step": 60, "masked_lm_accuracy": None, **held_out},
        {"step": 100, "masked_lm_accuracy": 0.4, **held_out},
    ]
    (runs[0] / "evaluation.json").write_text(json.dumps(entries))
    run = read_run(runs[0])
    assert run.accuracy.values.tolist() == [0.1, 0.2, 0.4] and run.rows == "held-out"
    assert run.accuracy.places[:, 0].tolist() == [20, 40, 100]
