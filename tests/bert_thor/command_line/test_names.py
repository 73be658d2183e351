"""A name that is not ours is never accepted: the nearest one is offered, or what a name from elsewhere is here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bert_thor.cli import COMMANDS, main
from bert_thor.command_line.names import COMMANDS_ELSEWHERE, KNOWN_ELSEWHERE
from bert_thor.command_line.options import Option, options_of
from bert_thor.command_line.pretrain import CONFIG
from bert_thor.convert.command import ConvertConfig
from bert_thor.data.prepare import PrepareConfig
from bert_thor.recipes import PretrainConfig
from bert_thor.training.evaluation import EvaluateConfig

KINDS = {"pretrain": PretrainConfig, "prepare": PrepareConfig, "evaluate": EvaluateConfig, "convert": ConvertConfig}


def options(command: str) -> list[Option]:
    return [*options_of(KINDS[command]), *([CONFIG] if command == "pretrain" else [])]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1, error
    return error.strip()


@pytest.mark.parametrize("command", KNOWN_ELSEWHERE)
def test_every_name_from_elsewhere_is_answered_with_options_that_there_are(command: str) -> None:
    ours = {spelling for option in options(command) for spelling in option.spellings}
    for name, answer in KNOWN_ELSEWHERE[command].items():
        assert name not in ours, f"{name} is an option of {command}"
        named = set(re.findall(r"--[a-z][a-z0-9-]*", re.sub(r"`[^`]*`", "", answer)))
        assert named <= ours and (named or "`" in answer), f"{name}: {answer}"


def test_commands_from_elsewhere_lead_to_commands_that_there_are() -> None:
    assert set(COMMANDS_ELSEWHERE.values()) <= {*COMMANDS, "--help", "--version"}
    assert not set(COMMANDS_ELSEWHERE) & set(COMMANDS)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("--lr", "--learning-rate"),
        ("--epochs", "--steps N"),
        ("--num-epochs", "--steps N"),
        ("--num_train_epochs", "--steps N"),
        ("--max-steps", "--steps"),
        ("--max_steps", "--steps"),
        ("--train-batch-size", "--batch-size"),
        ("--per-device-train-batch-size", "--batch-size"),
        ("--fp16", "--precision float16"),
        ("--bf16", "--precision bfloat16"),
        ("--gradient-accumulation-steps", "--accumulate"),
        ("--seq-length", "prepare --max-seq-length"),
        ("--output-dir", "--run"),
        ("--warmup-steps", "--warmup"),
    ],
)
@pytest.mark.parametrize("form", ["{} 1", "{}=1"])
def test_names_of_other_trainers(
    name: str, ours: str, form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refused(capsys, "pretrain", "--run", str(tmp_path / "run"), *form.format(name).split())
    assert f"no option {name}: " in error and ours in error.partition(": ")[2]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("pretrain", "--learning-rat", "1"), "--learning-rat; did you mean --learning-rate?"),
        (("pretrain", "--optimiser=lamb"), "--optimiser; did you mean --optimizer?"),
        (("pretrain", "-lr", "1"), "no option -lr: it is called --learning-rate here"),
        (("pretrain", "--no-shufle"), "did you mean --no-shuffle?"),
        (("pretrain", "--xyzzy"), "bert-thor pretrain --help lists them"),
        (("prepare", "--input", "x", "--output", "y"), "it is called --source here"),
        (("convert", "--fro", "a", "--to", "b"), "did you mean --from?"),
        (("doctor", "--rum", "a"), "did you mean --run?"),
        (("pretain",), "did you mean pretrain?"),
        (("train",), "it is called pretrain here"),
        (("wibble",), "use one of prepare, "),
    ],
)
def test_slips(arguments: tuple[str, ...], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert hint in refused(capsys, *arguments)


@pytest.mark.parametrize(
    ("option", "value", "hint"),
    [
        ("--recipe", "bert-larg", "did you mean bert-large?"),
        ("--recipe", "huge", "use one of demo, mini"),
        ("--optimizer", "thor2020", "did you mean thor-2020?"),
        ("--optimizer", "adam", "did you mean adamw?"),
    ],
)
def test_names_of_recipes_and_optimizers(
    option: str, value: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pretrain", option, value]) == 1
    error = capsys.readouterr().err
    assert hint in error and error.count("\n") == 1


def test_our_own_names_with_underscores_and_negative_numbers_are_no_slips(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "missing")
    assert main(["pretrain", "--data", missing, "--batch_size", "4", "--learning_rate=1e-3", "--loss-scale", "-8"]) == 1
    assert "loss_scale is -8" in capsys.readouterr().err
