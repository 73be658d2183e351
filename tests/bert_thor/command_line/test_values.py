"""A value that an option cannot have is one sentence with the option, the value and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from bert_thor.cli import main


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("pretrain", "--steps", "many"), "--steps is 'many': a whole number was expected"),
        (("pretrain", "--steps=1.5"), "--steps is '1.5': a whole number was expected"),
        (("pretrain", "--learning_rate", "fast"), "--learning-rate is 'fast': a number was expected"),
        (("pretrain", "--resume-from", "last"), "--resume-from is 'last': a whole number was expected"),
        (
            ("pretrain", "--precision", "bfloat"),
            "--precision is 'bfloat': use one of float32, float16, bfloat16; did you mean bfloat16?",
        ),
        (("pretrain", "--steps"), "--steps has no value; INT was expected"),
        (("pretrain", "--data", "--run", "x"), "--data has no value; PATH was expected"),
        (("pretrain", "--resume=yes"), "--resume takes no value: write --resume or --no-resume"),
        (("convert", "--to", "x"), "bert-thor convert needs --from; bert-thor convert --help explains them"),
        (("convert",), "bert-thor convert needs --from and --to; bert-thor convert --help explains them"),
        (("prepare",), "bert-thor prepare needs --output; bert-thor prepare --help explains them"),
    ],
)
def test_one_sentence(
    arguments: tuple[str, ...],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(list(arguments)) == 2
    assert capsys.readouterr().err == f"error: {sentence}\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "value", [("--first-order", "bias", "norm"), ("--first-order",), ("--block", "auto"), ("--eval-data", "None")]
)
def test_lists_numbers_or_words_and_nothing_are_values(
    value: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pretrain", *value, "--data", str(tmp_path / "missing"), "--steps", "1_000"]) == 1
    assert "missing does not exist" in capsys.readouterr().err
