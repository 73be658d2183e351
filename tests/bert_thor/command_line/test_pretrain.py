"""The network's vocabulary and longest sequence are what it starts from, or else the data's, unless given."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from foreign_checkpoint import write_huggingface_folder
from synthetic_data import synthetic_text

from bert_thor.cli import main
from bert_thor.command_line.pretrain import parse_pretrain, parse_run
from bert_thor.convert.start import read_sizes
from bert_thor.data.prepare import PrepareConfig, prepare
from bert_thor.network.sizes import BERT_SIZES
from bert_thor.original.options import OriginalOptions, pretrain_config
from bert_thor.recipes import recipe
from bert_thor.training.run_folder import RunFolder

TINY = "--hidden-size 16 --num-heads 2 --num-layers 1 --intermediate-size 24 --optimizer adamw --batch-size 8"


@pytest.fixture(scope="module")
def longer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of 144 tokens, more than the recipe demo has places."""
    folder = tmp_path_factory.mktemp("longer")
    (folder / "text.txt").write_text(synthetic_text(40, seed=8))
    config = PrepareConfig(folder / "data", (str(folder / "text.txt"),), vocab_size=90, max_seq_length=144)
    prepare(config)
    return config.output


def sizes(*arguments: str) -> tuple[int, int]:
    model = parse_run(arguments).model
    return model.vocab_size, model.max_position


def pieces(data: Path) -> int:
    return len((data / "vocab.txt").read_text().splitlines())


def test_the_data_has_its_say(prepared: Path, longer: Path) -> None:
    assert sizes("--data", str(prepared)) == (pieces(prepared), 32)
    assert sizes("--data", str(longer), "--recipe", "mini") == (pieces(longer), 144)
    assert sizes("--data", str(prepared), "--vocab-size", "104", "--max-position", "64") == (104, 64)
    model = parse_run(["--data", str(prepared)]).model
    assert replace(model, vocab_size=8192, max_position=128) == recipe("demo").model


def test_the_position_table_of_a_published_network_is_not_cut(prepared: Path) -> None:
    model = parse_run(["--data", str(prepared), "--recipe", "bert-large"]).model
    assert model == replace(BERT_SIZES["bert-large"], vocab_size=pieces(prepared))


def test_data_of_others(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a manifest the vocabulary beside the rows counts, without that the recipe's; the length stands in the first row."""
    folder = tmp_path / "theirs"
    shutil.copytree(prepared / "train", folder)
    assert sizes("--data", str(folder)) == (8192, 32)
    assert sizes("--data", str(folder), "--recipe", "bert-base") == (30522, 512)
    shutil.copy(prepared / "vocab.txt", folder)
    assert sizes("--data", str(folder)) == (pieces(prepared), 32)
    assert "has no schema.json" not in capsys.readouterr().err, "the run itself says it, once"


def test_data_that_cannot_be_read_is_a_matter_of_the_run(tmp_path: Path) -> None:
    assert sizes("--data", str(tmp_path / "nowhere")) == (8192, 128)


def test_a_network_to_start_from_has_the_first_say(prepared: Path, tmp_path: Path) -> None:
    source = write_huggingface_folder(tmp_path / "model")
    public = read_sizes(source)
    assert sizes("--start", str(source), "--data", str(prepared)) == (public.vocab_size, public.max_position)
    assert parse_run(["--recipe", "continue", "--start", str(source), "--data", str(prepared)]).model == public


def test_the_original_takes_them_too(prepared: Path) -> None:
    config = pretrain_config(OriginalOptions(data_dir=str(prepared)), 1, {})
    assert (config.model.vocab_size, config.model.max_position) == (pieces(prepared), 512)
    config = parse_pretrain([], "demo", lambda found: replace(found, data=prepared))
    assert (config.model.vocab_size, config.model.max_position) == (pieces(prepared), 32)


def test_a_run_says_what_it_took_and_goes_on_with_it(
    prepared: Path, longer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["pretrain", "--data", str(prepared), "--run", str(run), *TINY.split(), "--steps", "2"]) == 0
    size = pieces(prepared)
    first = "\n".join(capsys.readouterr().out.splitlines()[:3])
    assert f"vocabulary of {size} (the data's), sequences of at most 32 tokens (the data's)" in first
    stored = json.loads((run / "config.json").read_text())
    assert (stored["model.vocab_size"], stored["model.max_position"]) == (size, 32)
    assert sizes("--resume", "--run", str(run)) == (size, 32)
    assert main(["pretrain", "--resume", "--run", str(run), "--steps", "3"]) == 0
    assert RunFolder(run).steps() == [2, 3]
    again = ["pretrain", "--config", str(run / "config.json"), "--run", str(tmp_path / "again"), "--steps", "2"]
    assert main(again) == 0
    lines = [json.loads((folder / "metrics.jsonl").read_text().splitlines()[1]) for folder in (run, tmp_path / "again")]
    assert lines[0]["loss"] == lines[1]["loss"]
    capsys.readouterr()
    assert main(["pretrain", "--resume", "--run", str(run), "--data", str(longer)]) == 1
    assert "144 tokens, the position table has 32 rows" in capsys.readouterr().err
    started = ["pretrain", "--start", str(run), "--data", str(prepared), "--run", str(tmp_path / "next"), *TINY.split()]
    assert main([*started, "--steps", "1"]) == 0


def test_sizes_that_are_given_are_said_beside_the_datas(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--vocab-size", "104", "--max-position", "64", "--steps", "1")
    assert main(["pretrain", "--data", str(prepared), "--run", str(tmp_path / "run"), *TINY.split(), *more]) == 0
    size = pieces(prepared)
    assert (
        f"vocabulary of 104 (the data: {size}), sequences of at most 64 tokens (the data: 32)"
        in capsys.readouterr().out
    )
