"""`--config FILE`: TOML, or the config.json of a run; the recipe under it, the options on top."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bert_thor.cli import main
from bert_thor.command_line.config_file import read_config_file
from bert_thor.command_line.pretrain import parse_run
from bert_thor.errors import ConfigError, UsageError
from bert_thor.optimizer.methods import preset
from bert_thor.recipes import recipe
from bert_thor.training.run_folder import resolved

TOML = """
data = "rows"
run = "/runs/one"
recipe = "mini"
steps = 70
eval-data = "other/rows"

[model]
hidden_size = 64

[optimizer]
name = "lamb"
learning_rate = 1
first_order = ["bias"]
"""


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(TOML)
    return path


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_recipe_under_it_and_the_options_on_top(toml: Path) -> None:
    config = parse_run(["--config", str(toml), "--steps", "5", "--num-layers", "3"])
    base = recipe("mini", "lamb")
    optimizer = replace(base.optimizer, learning_rate=1.0, first_order=("bias",))
    model = replace(base.model, hidden_size=64, num_layers=3)
    home = toml.parent
    expected = replace(base, data=home / "rows", eval_data=home / "other/rows", run=Path("/runs/one"), steps=5)
    assert config == replace(expected, model=model, optimizer=optimizer)


def test_paths_begin_at_the_folder_of_the_file(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(toml.parent)
    assert parse_run(["--config", "run.toml"]).data == toml.parent / "rows"
    assert parse_run(["--config=run.toml", "--data", "mine"]).data == Path("mine")


@pytest.mark.parametrize("name", ["demo", "bert-large"])
@pytest.mark.parametrize("optimizer", ["thor", "thor-2021", "adamw"])
def test_what_a_run_says_of_itself_can_be_given_back(name: str, optimizer: str, tmp_path: Path) -> None:
    config = replace(recipe(name, optimizer), data=tmp_path / "data", run=tmp_path / "run", precision="bfloat16")
    stored = tmp_path / "config.json"
    stored.write_text(json.dumps(resolved(replace(config, resume=True, resume_from=3))))
    assert parse_run(["--config", str(stored)]) == config


def test_another_optimizer_has_its_own_defaults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored = written(tmp_path / "config.json", json.dumps(resolved(replace(recipe("demo"), data=tmp_path))))
    config = parse_run(["--config", str(stored), "--optimizer", "lamb", "--warmup", "0.5"])
    assert config.optimizer == replace(preset("lamb"), warmup=0.5)
    assert "has options of thor, not of lamb: they are left out" in capsys.readouterr().out


def test_a_run_goes_on_as_the_file_asks(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    before = replace(recipe("demo"), data=tmp_path / "data", seed=9, steps=40)
    (tmp_path / "run/config.json").write_text(json.dumps(resolved(before)))
    file = written(tmp_path / "again.toml", 'run = "run"\nresume = true\nsteps = 60\n')
    assert parse_run(["--config", str(file)]) == replace(before, run=tmp_path / "run", resume=True, steps=60)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour = 1", "has colour, which this version does not know"),
        ("stpes = 1", "has stpes, which this version does not know; did you mean steps?"),
        (
            "learning_rate = 1.0",
            "has learning_rate, which this version does not know; did you mean optimizer.learning_rate?",
        ),
        ('optimizer = "lamb"', "has optimizer, which this version does not know; did you mean optimizer.name?"),
        ("[model]\nhidden_sizes = 1", "did you mean model.hidden_size?"),
        ('steps = "many"', "has steps = 'many': a whole number was expected"),
        ("steps = 1.5", "has steps = 1.5: a whole number was expected"),
        ("steps = true", "has steps = True: a whole number was expected"),
        ("shuffle = 1", "has shuffle = 1: true or false was expected"),
        ("data = 1", "has data = 1: a path was expected"),
        ("recipe = 3", "has recipe = 3: a text was expected"),
        ('precision = "int8"', "has precision = 'int8': 'float32' or 'float16' or 'bfloat16' or null was expected"),
        (
            '[optimizer]\nfirst_order = "bias"',
            "optimizer.first_order = 'bias': a list, each of it a text, was expected",
        ),
        ("[optimizer]\nepsilon = nan", "has optimizer.epsilon = nan: a number was expected"),
        ("steps 1", "is not TOML"),
        ("steps = 0", "steps is 0"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_entry(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path / "run.toml", text)
    assert main(["pretrain", "--config", str(file), "--run", str(tmp_path / "run")]) == 1
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert str(file) in error or words == "steps is 0"
    assert not (tmp_path / "run").exists()


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing"):
        read_config_file(tmp_path / "no.json")
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_config_file(tmp_path / "no.toml")
    with pytest.raises(ConfigError, match=r"run\.yaml is neither \.toml nor \.json"):
        read_config_file(written(tmp_path / "run.yaml", "steps: 1"))
    with pytest.raises(ConfigError, match="is not TOML"):
        read_config_file(written(tmp_path / "deep.toml", f"a = {'[' * 100_000}"))
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="is not TOML"):
        read_config_file(tmp_path / "bytes.toml")
    with pytest.raises(UsageError, match="--config has no value"):
        parse_run(["--config"])
