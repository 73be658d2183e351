"""--help: every option once, in groups, those that matter first; the recipes; the version."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Optional

import pytest
import tyro
from typing_extensions import Literal

import bert_thor
from bert_thor.cli import COMMANDS, main
from bert_thor.command_line.help import GROUPS, help_text
from bert_thor.command_line.options import Option, options_of
from bert_thor.data.prepare import PrepareConfig
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.recipes import RECIPES, PretrainConfig


def printed_help(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_line_fits_and_no_option_stands_twice(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed_help(command, capsys)
    assert all(len(line) <= 120 for line in text.splitlines())
    names = re.findall(r"^  (--[a-z0-9-]+)", text, re.M)
    assert len(names) == len(set(names)) and (names or command == "report")
    assert not re.search(r"\bNone\b|MISSING|PosixPath", text)


@pytest.mark.parametrize(("command", "kind"), [("pretrain", PretrainConfig), ("prepare", PrepareConfig)])
def test_ten_options_come_first_and_groups_name_options_that_there_are(
    command: str, kind: type, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed_help(command, capsys)
    first = text.split("\n\n")[2]
    assert len(re.findall(r"^  --", first, re.M)) == 10
    known = [option.name for option in options_of(kind)]
    grouped = [name for names in GROUPS[command].values() for name in names]
    assert set(grouped) <= {*known, "--config"} and len(grouped) == len(set(grouped))
    assert all(re.search(rf"^  {name}\b", text, re.M) for name in known)


def test_the_last_group_of_pretrain_is_about_optimizers_alone(capsys: pytest.CaptureFixture[str]) -> None:
    *_, last, recipes = printed_help("pretrain", capsys).strip().split("\n\n")
    assert last.startswith("the optimizer, ") and recipes.startswith("recipes:")
    assert set(re.findall(r"^  (--[a-z0-9-]+)", last, re.M)) <= {option.name for option in options_of(OptimizerConfig)}


def test_recipes_are_listed_with_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--recipe", "list"], ["--recipe=list"], ["--recipe"]):
        assert main(["pretrain", *arguments]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines] == list(RECIPES)
    assert "\n".join(lines) in printed_help("pretrain", capsys)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"bert-thor {bert_thor.__version__}\n"


@dataclass
class Inner:
    """Inner."""

    rate: float = 0.5
    """A rate."""


@dataclass
class Everything:
    """All kinds of fields."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Files."""
    width: int
    """Width,
    in two lines."""
    inner: Inner
    """Nested."""
    form: Annotated[Literal["a", "b"], tyro.conf.arg(name="format")] = "a"
    """Form."""
    most: Optional[int] = None
    """Most."""
    fast: bool = True
    """Fast."""


def test_options_of_every_kind_of_field() -> None:
    assert options_of(Everything) == [
        Option("FILES", "PATH ...", "Files.", required=True),
        Option("--width", "INT", "Width, in two lines.", required=True),
        Option("--format", "{a,b}", "Form.", "a"),
        Option("--most", "INT", "Most."),
        Option("--fast", "", "Fast.", True),
        Option("--rate", "FLOAT", "A rate.", 0.5),
    ]
    text = help_text("try", "Purpose.", options_of(Everything, Everything((), 3, Inner(0.25), fast=False)))
    assert text.startswith("usage: bert-thor try [--help] [OPTIONS] FILES\n\nPurpose.\n\noptions:\n")
    assert re.search(r"--width INT +Width, in two lines. \(default: 3\)", text)
    assert "(default: 0.25)" in text and "--fast or --no-fast" in text and "(default: no)" in text
