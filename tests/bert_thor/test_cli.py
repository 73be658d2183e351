"""A user's mistake is one sentence on stderr, a non-zero status, and nothing half-written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from bert_thor.cli import main, run_command
from bert_thor.data.errors import DataError, RecordError
from bert_thor.errors import CheckpointError, ConfigError, ConvertError, TrainingError
from bert_thor.kernels.davinci.errors import DavinciError
from bert_thor.kernels.status import KernelError
from bert_thor.ops._backend import BackendError

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


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str], *fragments: str) -> None:
    assert main(arguments) != 0
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and "\n" not in error, error
    assert all(fragment in error for fragment in fragments), error


def pretrain(data: Path, run: Path, *more: str) -> list[str]:
    return ["pretrain", "--recipe", "demo", "--data", str(data), "--run", str(run), "--batch-size", "8", *SIZES, *more]


@pytest.mark.parametrize(
    ("more", "fragments"),
    [
        (("--steps", "0"), ("steps is 0", "1 or more")),
        (("--optimizer", "adam"), ("'adam'", "thor, thor-2020")),
        (("--recipe", "huge"), ("'huge'", "demo")),
        (("--vocab-size", "99"), ("99", "100")),
        (("--max-position", "16"), ("32 tokens", "16 rows")),
        (("--batch-size", "4000"), ("4000", "451")),
        (("--num-heads", "5"), ("24", "5")),
        (("--hidden-dropout", "1.0"), ("hidden_dropout is 1.0",)),
        (("--block", "2000"), ("2000", "1024")),
        (("--refresh-interval", "0"), ("refresh_interval is 0",)),
        (("--loss-scale", "0"), ("loss_scale is 0", "dynamic", "a number above 0")),
        (("--loss-scale", "-8"), ("loss_scale is -8", "a number above 0")),
        (("--loss-scale", "nan"), ("loss_scale is nan", "a number above 0")),
        (("--loss-scale", "inf"), ("loss_scale is inf", "at most 4294967296")),
        (("--loss-scale", "large"), ("loss_scale is large", "write dynamic")),
        (("--loss-scale-window", "0"), ("loss_scale_window is 0", "1 step or more")),
        (("--accumulate", "0"), ("accumulate is 0", "1 or more")),
        (("--accumulate", "3"), ("accumulate is 3", "does not divide batch_size 8", "a multiple of 3")),
        (("--seed", "-1"), ("seed is -1",)),
        (("--device-target", "TPU"), ("'TPU'", "CPU")),
    ],
)
def test_bad_values(
    prepared: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    fragments: tuple[str, ...],
) -> None:
    run = tmp_path / "run"
    refused(capsys, pretrain(prepared, run, *more), *fragments)
    assert not run.exists()


def test_missing_and_empty_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, pretrain(tmp_path / "nowhere", tmp_path / "run"), "nowhere", "does not exist")
    (tmp_path / "empty").mkdir()
    refused(capsys, pretrain(tmp_path / "empty", tmp_path / "run"), "empty", "no TFRecord file")
    assert not (tmp_path / "run").exists()


def test_schema_that_does_not_match(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    shutil.copytree(prepared, data)
    schema = json.loads((data / "schema.json").read_text())
    schema["columns"]["input_ids"]["shape"] = [31]
    (data / "schema.json").write_text(json.dumps(schema))
    refused(capsys, pretrain(data, tmp_path / "run"), "schema.json", "[32]", "[31]")
    assert not (tmp_path / "run").exists()


def test_run_folder_in_use(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "thesis.txt").write_text("precious")
    refused(capsys, pretrain(prepared, run), str(run), "not empty")
    assert [path.name for path in run.iterdir()] == ["thesis.txt"]


def test_unknown_command_and_option(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, ["pretain"], "'pretain'", "pretrain")
    refused(capsys, pretrain(prepared, tmp_path / "run", "--learning-rat", "1"), "--learning-rate")
    assert not (tmp_path / "run").exists()


def test_evaluate_without_a_run(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, ["evaluate", "--run", str(tmp_path), "--data", str(prepared)], "holds no run")


@pytest.mark.parametrize(
    "error",
    [
        BackendError("sentence"),
        CheckpointError("sentence"),
        ConfigError("sentence"),
        ConvertError("sentence"),
        DataError("sentence"),
        DavinciError("sentence"),
        KernelError("sentence", 1),
        RecordError("sentence", 1, "damaged"),
        TrainingError("sentence"),
        ImportError("sentence"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_the_user_can_put_right_is_a_sentence(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(arguments: Sequence[str]) -> None:
        raise error

    assert run_command(fail, []) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("error: sentence") and printed.count("\n") == 1


def test_a_mistake_of_ours_is_not_hidden() -> None:
    def fail(arguments: Sequence[str]) -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        run_command(fail, [])


@pytest.mark.parametrize("command", ["prepare", "pretrain", "evaluate"])
def test_help_explains_every_option(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert "--help" in capsys.readouterr().out
