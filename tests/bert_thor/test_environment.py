"""What an environment may lack: home, cache, time zone, terminal, letters. Every command still does its work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

WORDS = ["one", "sentence", "ist", "and", "two", "another", "is", "here", "more", "words", "in", "it", "."]
BARE = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}
ENVIRONMENTS = {
    "nothing": {},
    "no home": {"HOME": "/nonexistent"},
    "no time zone": {"TZ": "No/Where"},
    "no terminal": {"TERM": "nonsense", "COLUMNS": "0", "LINES": "0"},
    "no letters": {"PYTHONIOENCODING": "ascii", "LC_ALL": "xx_YY"},
}


def bert_thor(environment: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bert_thor.cli", *arguments]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("lack", ENVIRONMENTS)
def test_text_is_prepared_and_help_is_printed(tmp_path: Path, lack: str) -> None:
    document = "One sentence ist schön 你好.\nAnd two sentences.\n\nAnother one is here.\nMore words in it.\n\n"
    (tmp_path / "schön.txt").write_text(document * 9, encoding="utf-8")
    (tmp_path / "file").touch()
    environment = {**BARE, "XDG_CACHE_HOME": str(tmp_path / "file"), **ENVIRONMENTS[lack]}  # a cache that cannot be
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n")
    options = ("--source", "schön.txt", "--output", "data", "--vocab-file", "vocab.txt", "--max-seq-length", "32")
    done = bert_thor(environment, tmp_path, "prepare", *options)
    assert done.returncode == 0, done.stderr
    for arguments in (("pretrain", "--help"), ("evaluate", "--help")):
        done = bert_thor(environment, tmp_path, *arguments)
        assert done.returncode == 0 and "--run" in done.stdout, done.stderr


def test_training_and_evaluation_in_an_environment_that_lacks_everything(prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    environment = {**BARE, "XDG_CACHE_HOME": str(tmp_path / "file")}
    for more in ENVIRONMENTS.values():
        environment.update(more)
    sizes = "--vocab-size 100 --max-position 32 --hidden-size 16 --num-heads 2 --num-layers 1 --intermediate-size 24"
    options = ("--optimizer", "adamw", "--steps", "2", "--batch-size", "8", "--data", str(prepared), "--run", "run")
    done = bert_thor(environment, tmp_path, "pretrain", *options, *sizes.split())
    assert done.returncode == 0, done.stderr
    done = bert_thor(environment, tmp_path, "evaluate", "--run", "run")
    assert done.returncode == 0 and "held-out masked-LM accuracy" in done.stdout, done.stderr


def test_a_user_that_no_list_knows_has_a_cache_too() -> None:
    """Nobody is user 54321, as in a container."""
    program = (
        "from bert_thor.data.records.cache import cache_folder; import os; os.setuid(54321); print(cache_folder('x'))"
    )
    if os.getuid():
        pytest.skip("only the superuser can become another user")
    done = subprocess.run([sys.executable, "-c", program], env=BARE, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "cache-54321/bert_thor/x" in done.stdout, done.stderr


def test_closed_output_does_not_change_the_status(prepared: Path, tmp_path: Path) -> None:
    program = f"exec {sys.executable} -m bert_thor.cli evaluate --run {tmp_path} --data {prepared} >&- 2>&-"
    assert subprocess.run(["sh", "-c", program], env=BARE, cwd=tmp_path, check=False).returncode == 1
