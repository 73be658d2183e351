"""`--recipe continue`: own text on top of a network of others, whose sizes, weights and vocabulary it takes."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from foreign_checkpoint import PIECES, change_weights, write_huggingface_folder

from bert_thor.cli import main
from bert_thor.command_line.pretrain import parse_pretrain
from bert_thor.convert.huggingface import import_huggingface
from bert_thor.data.prepare import PrepareConfig, prepare
from bert_thor.optimizer.methods import preset
from bert_thor.recipes import CONTINUED_RATE
from bert_thor.training.checkpoint import checkpoint_path, load_checkpoint
from bert_thor.training.run_folder import RunFolder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A masked-LM model of 97 word pieces, as `transformers` saves it."""
    source = write_huggingface_folder(tmp_path_factory.mktemp("public") / "model")

    def as_masked_lm(weights: dict[str, np.ndarray]) -> None:
        for name in [name for name in weights if name.startswith(("bert.pooler.", "cls.seq_relationship."))]:
            del weights[name]

    change_weights(source, as_masked_lm)
    return source


def prepared_with(vocabulary: Path, folder: Path) -> Path:
    generator = random.Random(5)
    sentences = [" ".join(f"piece{generator.randrange(92)}" for _ in range(6)) for _ in range(300)]
    text = folder / "text.txt"
    text.write_text("\n".join(line + "\n" * (number % 5 == 4) for number, line in enumerate(sentences)))
    output = folder / "data"
    prepare(PrepareConfig(output=output, source=(str(text),), vocab_file=vocabulary, max_seq_length=24, seed=1))
    return output


@pytest.fixture(scope="module")
def data(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Text of its word pieces."""
    return prepared_with(folder / "vocab.txt", tmp_path_factory.mktemp("text"))


def arguments(folder: Path, data: Path, run: Path, *more: str) -> list[str]:
    options = ["--start", str(folder), "--data", str(data), "--run", str(run), "--batch-size", "4", *more]
    return ["--recipe", "continue", *options]


def test_sizes_weights_and_vocabulary_come_from_the_folder(
    folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A step of rate 0 leaves the weights of the folder, and of the heads that it lacks those of a new network."""
    still = ("--steps", "1", "--learning-rate", "0", "--first-order-learning-rate", "0", "--evaluation-interval", "4")
    assert main(["pretrain", *arguments(folder, data, tmp_path / "run", *still)]) == 0
    assert f"{folder} has no pooler, no next-sentence head" in capsys.readouterr().out
    expected, run = import_huggingface(folder), RunFolder(tmp_path / "run")
    assert run.read_model() == expected.config
    found = load_checkpoint(checkpoint_path(run.checkpoints, 1)).model
    assert found.keys() == expected.parameters.keys()
    assert all(found[name].tobytes() == value.tobytes() for name, value in expected.parameters.items())
    assert (run.path / "vocab.txt").read_bytes() == (folder / "vocab.txt").read_bytes()
    evaluation = json.loads(run.training_evaluations.read_text())
    assert evaluation["rows"] == "held-out" and evaluation["row_count"] <= 1000


def test_text_of_another_vocabulary_is_refused_and_leaves_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece in [*PIECES[:-2], PIECES[-1], PIECES[-2]]))
    data = prepared_with(tmp_path / "vocab.txt", tmp_path)
    assert main(["pretrain", *arguments(folder, data, tmp_path / "run", "--steps", "1")]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "is another vocabulary than" in error and f"--vocab-file {folder / 'vocab.txt'}" in error
    assert not (tmp_path / "run").exists()


def test_without_a_network_it_is_refused(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrain", "--recipe", "continue", "--data", str(data), "--run", str(tmp_path / "run")]) == 1
    assert "recipe continue needs a trained network" in capsys.readouterr().err


@pytest.mark.parametrize("optimizer", ["adamw", "thor", "lamb"])
def test_every_optimizer_has_a_part_of_its_rates(folder: Path, data: Path, tmp_path: Path, optimizer: str) -> None:
    config = parse_pretrain(arguments(folder, data, tmp_path, "--optimizer", optimizer), "demo").optimizer
    assert config.name == optimizer
    assert config.learning_rate == preset(optimizer).learning_rate * CONTINUED_RATE
    assert config.first_order_learning_rate == preset(optimizer).first_order_learning_rate * CONTINUED_RATE
