"""Files that somebody made to do harm can be refused, and nothing else: one sentence, never a traceback."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from bert_thor.cli import main
from bert_thor.errors import CheckpointError, ConfigError
from bert_thor.files import write_json
from bert_thor.recipes import recipe
from bert_thor.training.checkpoint import (
    Checkpoint,
    checkpoint_path,
    checkpoint_steps,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)
from bert_thor.training.run_folder import RunFolder, resolved

DEEP = "[" * 100_000
NOT_JSON = [
    "",
    "{",
    "[]",
    "null",
    "1e999",
    '"text"',
    DEEP,
    '{"a":' * 50_000,
    "\0",
    "{}{}",
    '{"format": 1' + "0" * 5000 + "}",
]
"""Contents that are no JSON object."""
FORBIDDEN = re.compile(
    r"import pickle|allow_pickle=True|shell=True|os\.system\(|os\.popen\(|yaml\.load\(|(?<![.\w])(eval|exec)\("
)
VALUES = [None, True, -1, 0.5, 10**400, float("nan"), "", "../../etc/passwd", [], {}, [[]], {"a": {}}, "9" * 10_000]
"""Values where a number or an object should be."""


def make(step: int = 3) -> Checkpoint:
    return Checkpoint(step, {"w": np.ones((2, 3), np.float32)}, {}, {"samples": 1})


def sealed(path: Path, **files: bytes) -> Path:
    """Replace files of a checkpoint and write the manifest for them, as an attacker can."""
    entries = {}
    for name in ("model.safetensors", "optimizer.safetensors", "state.json"):
        content = files.get(name.split(".")[0], (path / name).read_bytes())
        (path / name).write_bytes(content)
        entries[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (path / "manifest.json").write_text(json.dumps({"format": 1, "files": entries}))
    return path


@pytest.mark.parametrize("content", NOT_JSON, ids=range(len(NOT_JSON)))
@pytest.mark.parametrize("name", ["manifest.json", "state.json"])
def test_json_of_a_checkpoint(tmp_path: Path, name: str, content: str) -> None:
    path = save_checkpoint(tmp_path, make(), keep=1)
    (path / name).write_text(content)
    if name == "state.json":
        sealed(path)
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(path)


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_wrong_types_in_a_checkpoint(tmp_path: Path, value: Any) -> None:
    path = save_checkpoint(tmp_path, make(), keep=1)
    whole = json.loads((path / "manifest.json").read_text())
    model = whole["files"]["model.safetensors"]
    for wrong in (
        {**whole, "format": value},
        {**whole, "files": value},
        {**whole, "files": {**whole["files"], "state.json": value}},
        {**whole, "files": {**whole["files"], "model.safetensors": {**model, "bytes": value}}},
        {**whole, "files": {**whole["files"], "model.safetensors": {**model, "sha256": value}}},
    ):
        (path / "manifest.json").write_text(json.dumps(wrong))
        with pytest.raises(CheckpointError):
            load_checkpoint(path)
    with pytest.raises(CheckpointError):
        load_checkpoint(sealed(path, state=json.dumps({"step": value}).encode()))


def test_a_manifest_cannot_point_outside(tmp_path: Path) -> None:
    """Only the three known names are ever opened, whatever else the manifest lists."""
    (tmp_path / "secret").write_text("secret")
    path = save_checkpoint(tmp_path / "checkpoints", make(), keep=1)
    whole = json.loads((path / "manifest.json").read_text())
    whole["files"]["../../secret"] = whole["files"]["/etc/passwd"] = {"bytes": 6, "sha256": "0"}
    (path / "manifest.json").write_text(json.dumps(whole))
    assert load_checkpoint(path).step == 3
    del whole["files"]["model.safetensors"]
    (path / "manifest.json").write_text(json.dumps(whole))
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\0" * 8, b"\xff" * 8 + b"{}", (2).to_bytes(8, "little") + b"{}", (2**40).to_bytes(8, "little") + b"{}",
        (100).to_bytes(8, "little") + b"{" * 100, b"cos\nsystem\n(S'true'\ntR.", b"PK\x03\x04" + bytes(60),
        save({"w": np.ones(3, np.float32)}).replace(b'"F32"', b'"F16"'),
        save({"w": np.ones(3, np.float32)}).replace(b'"F32"', b'"XXX"'),
        save({"w": np.ones(3, np.float32)}).replace(b"[3]", b"[9]"),
        save({"w": np.ones(3, np.float32)})[:-1],
    ],
    ids=range(12),
)  # fmt: skip
def test_tensors_that_are_none(tmp_path: Path, content: bytes) -> None:
    path = sealed(save_checkpoint(tmp_path, make(), keep=1), model=content)
    try:
        assert load_checkpoint(path).model.keys() <= {"w"}
    except CheckpointError as error:
        assert "model.safetensors" in str(error)


def test_links_are_neither_followed_nor_deleted_through(tmp_path: Path) -> None:
    outside = save_checkpoint(tmp_path / "elsewhere", make(1), keep=1)
    folder = tmp_path / "checkpoints"
    path = save_checkpoint(folder, make(5), keep=1)
    (folder / "step-00000001").symlink_to(outside)
    save_checkpoint(folder, make(6), keep=1)
    assert checkpoint_steps(folder) == [6] and load_checkpoint(outside).step == 1
    path = checkpoint_path(folder, 6)
    (tmp_path / "copy").write_bytes((path / "model.safetensors").read_bytes())
    (path / "model.safetensors").unlink()
    (path / "model.safetensors").symlink_to(tmp_path / "copy")
    with pytest.raises(CheckpointError, match="symbolic link"):
        load_checkpoint(path)
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "evaluation.json").symlink_to(tmp_path / "precious")
    (tmp_path / f".writing-{os.getpid()}-evaluation.json").symlink_to(tmp_path / "precious")
    write_json(tmp_path / "evaluation.json", [1])
    assert (tmp_path / "precious").read_text() == "precious" and (
        tmp_path / "evaluation.json"
    ).read_text() == "[\n  1\n]\n"


def test_the_newest_whole_checkpoint_is_found_and_the_damaged_ones_named(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        save_checkpoint(tmp_path, make(step), keep=9)
    (checkpoint_path(tmp_path, 4) / "manifest.json").write_text("{}")
    (checkpoint_path(tmp_path, 3) / "model.safetensors").write_bytes(b"")
    warnings: list[str] = []
    found = newest_checkpoint(tmp_path, warnings.append)
    assert found is not None and found[1].step == 2
    assert ["step 4" in warnings[0], "step 3" in warnings[1]] == [
        True,
        True,
    ] and "model.safetensors has 0 bytes" in warnings[1]
    save_checkpoint(tmp_path, make(2), keep=1)  # keeps it, whatever later steps there are
    assert load_checkpoint(checkpoint_path(tmp_path, 2)).step == 2
    shutil.rmtree(checkpoint_path(tmp_path, 2))
    with pytest.raises(CheckpointError, match="none of the 2 checkpoints"):
        newest_checkpoint(tmp_path, warnings.append)


@pytest.mark.parametrize("content", NOT_JSON, ids=range(len(NOT_JSON)))
def test_config_that_is_no_json(tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text(content)
    for command in (
        ["evaluate", "--run", str(tmp_path)],
        ["pretrain", "--run", str(tmp_path), "--resume", "--data", str(tmp_path)],
    ):
        assert main(command) == 1
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("error: ")


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_wrong_types_in_a_config(tmp_path: Path, value: Any) -> None:
    whole = resolved(recipe("demo"))
    for name in ("model.hidden_size", "model.num_layers", "model.vocab_size", "model.layer_norm_eps"):
        (tmp_path / "config.json").write_text(json.dumps({**whole, name: value}))
        if name == "model.layer_norm_eps" and isinstance(value, (int, float)) and not isinstance(value, bool):
            continue
        with pytest.raises(ConfigError):
            RunFolder(tmp_path).read_model()


def test_huge_files_are_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "config.json", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ConfigError, match="larger than"):
        RunFolder(tmp_path).read_config()


def test_metrics_that_are_none_of_ours(tmp_path: Path) -> None:
    kept = b'{"step": 1, "loss": 2.0}\n'
    hostile = (
        b'\xff\xfe{"step": 2}\n{"step": "1"}\n{"step": NaN}\n{"step": [1]}\n[1]\n' + b'{"step": ' + b"9" * 5000 + b"}\n"
    )
    (tmp_path / "metrics.jsonl").write_bytes(kept + hostile + DEEP.encode() + b'\n{"step": 2, "lo')
    RunFolder(tmp_path).truncate(1)
    left = (tmp_path / "metrics.jsonl").read_bytes()
    assert left.startswith(kept) and b"NaN" not in left and b'"step": 2' not in left and len(left) < 100


def test_one_process_per_run_folder(tmp_path: Path) -> None:
    first = RunFolder(tmp_path)
    first.lock()
    first.lock()  # again is nothing new
    child = os.fork()
    if child == 0:
        try:
            RunFolder(tmp_path).lock()
        except ConfigError as error:
            os._exit(0 if "another process is training in" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    first.unlock()
    second = RunFolder(tmp_path)
    second.lock()
    second.unlock()


def test_permissions_are_those_of_the_user(tmp_path: Path) -> None:
    """Nothing is written that others may change, nothing that its owner may not read."""
    before = os.umask(0o022)
    try:
        path = save_checkpoint(tmp_path / "checkpoints", make(), keep=1)
        write_json(tmp_path / "config.json", {})
    finally:
        os.umask(before)
    for entry in (tmp_path / "config.json", path, *path.iterdir()):
        mode = entry.stat().st_mode
        assert not mode & 0o022 and mode & 0o400, entry


def test_nothing_that_reads_data_unpickles_evaluates_or_starts_a_shell() -> None:
    package = Path(__file__).resolve().parents[2]
    for path in [*(package / "bert_thor").rglob("*.py"), *(package / "ops").rglob("*.py")]:
        found = FORBIDDEN.search(path.read_text(encoding="utf-8"))
        assert found is None, f"{path}: {found}"
