"""A file has the old content or the new one, and JSON that cannot be used is refused with a sentence."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

from bert_thor import files
from bert_thor.errors import ConfigError
from bert_thor.files import make_folder, read_json_object, replace_text, write_json


def test_what_is_written_is_read(tmp_path: Path) -> None:
    make_folder(tmp_path / "new" / "folder")
    make_folder(tmp_path / "new" / "folder")
    path = tmp_path / "new" / "folder" / "values.json"
    for value in ({"a": [1, 2.5, None, "ü"]}, {}):
        write_json(path, value)
        assert read_json_object(path, ConfigError) == value
    assert [entry.name for entry in path.parent.iterdir()] == ["values.json"]


@pytest.mark.parametrize("operation", ["fsync", "replace"])
def test_a_failure_leaves_the_old_content_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError("the disk is full")

    replace_text(tmp_path / "text", "old")
    with monkeypatch.context() as patch, pytest.raises(OSError, match="the disk is full"):
        patch.setattr(os, operation, fail)
        replace_text(tmp_path / "text", "new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"text": "old"}


def test_what_a_killed_process_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / f".writing-{os.getpid()}-text").write_text("half")
    replace_text(tmp_path / "text", "whole")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"text": "whole"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is missing"),
        ("{", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("[1]", "does not hold a JSON object"),
        (json.dumps({"a": "x" * 100}), "is larger than 100 bytes"),
    ],
)
def test_json_that_is_not_usable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, words: str
) -> None:
    path = tmp_path / "values.json"
    if content is not None:
        path.write_text(content)
    if words.startswith("is larger"):
        monkeypatch.setattr(files, "LARGEST_JSON_BYTES", 100)
    with pytest.raises(ConfigError, match=words) as refusal:
        read_json_object(path, ConfigError)
    assert str(path) in str(refusal.value) and "\n" not in str(refusal.value)


def test_json_has_no_nan_and_no_infinity(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": math.nan, "b": [1.5, -math.inf, {"c": (math.inf, 2)}], "d": "NaN"})
    text = (tmp_path / "x.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {"a": None, "b": [1.5, None, {"c": [None, 2]}], "d": "NaN"}
