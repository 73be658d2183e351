"""A checkpoint is whole or absent, and nothing damaged, foreign or mismatched is ever loaded."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from bert_thor.errors import CheckpointError
from bert_thor.training import checkpoint as module
from bert_thor.training.checkpoint import (
    Checkpoint,
    checkpoint_path,
    checkpoint_steps,
    load_checkpoint,
    match_parameters,
    save_checkpoint,
)

FILES = ("model.safetensors", "optimizer.safetensors", "state.json", "manifest.json")


def make(step: int) -> Checkpoint:
    generator = np.random.default_rng(step)
    model = {"w": generator.standard_normal((5, 3), dtype=np.float32), "b": np.float32([step])}
    return Checkpoint(step, model, {"m.w": np.full((5, 3), step, np.float32)}, {"samples": 16 * step})


def test_round_trip_is_bit_exact(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, make(7), keep=2)
    loaded = load_checkpoint(path)
    assert path == checkpoint_path(tmp_path, 7) and loaded.step == 7 and loaded.state["samples"] == 112
    for name, array in make(7).model.items():
        assert loaded.model[name].tobytes() == array.tobytes()


def test_keeps_the_newest(tmp_path: Path) -> None:
    for step in (1, 5, 10, 100):
        save_checkpoint(tmp_path, make(step), keep=2)
    assert checkpoint_steps(tmp_path) == [10, 100]


def test_keeps_the_best_beside_them(tmp_path: Path) -> None:
    for step, best in ((1, None), (5, 5), (10, 5), (20, 5), (100, 5)):
        save_checkpoint(tmp_path, make(step), keep=2, best=best)
    assert checkpoint_steps(tmp_path) == [5, 20, 100]
    save_checkpoint(tmp_path, make(110), keep=2, best=110)
    assert checkpoint_steps(tmp_path) == [100, 110]


def test_saving_a_step_again_keeps_a_whole_checkpoint_and_replaces_a_damaged_one(tmp_path: Path) -> None:
    other = make(3)._replace(state={"samples": 1})
    path = save_checkpoint(tmp_path, make(3), keep=2)
    assert load_checkpoint(save_checkpoint(tmp_path, other, keep=2)).state["samples"] == 48
    (path / "state.json").write_text("{}")
    assert load_checkpoint(save_checkpoint(tmp_path, other, keep=2)).state["samples"] == 1


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["flip", "cut", "extend", "empty", "remove"])
def test_damage_is_refused_by_name(tmp_path: Path, name: str, damage: str) -> None:
    path = save_checkpoint(tmp_path, make(1), keep=1)
    content = bytearray((path / name).read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 0x10
    changed = {"flip": content, "cut": content[:-2], "extend": content + b"\0", "empty": b"", "remove": None}[damage]
    (path / name).unlink()
    if changed is not None:
        (path / name).write_bytes(bytes(changed))
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(path)
    assert str(path) in str(error.value)


def test_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"format": 99, "files": {}}))
    with pytest.raises(CheckpointError, match="format 1"):
        load_checkpoint(tmp_path)


def test_mismatched_parameters_are_named(tmp_path: Path) -> None:
    stored = make(1).model
    shapes = {"w": (5, 3), "b": (1,)}
    match_parameters(tmp_path, stored, shapes)
    with pytest.raises(CheckpointError, match="lacks parameter c"):
        match_parameters(tmp_path, stored, {**shapes, "c": (1,)})
    with pytest.raises(CheckpointError, match="holds parameter b"):
        match_parameters(tmp_path, stored, {"w": (5, 3)})
    with pytest.raises(CheckpointError, match=r"w of shape \(5, 3\).*\(3, 5\)"):
        match_parameters(tmp_path, stored, {**shapes, "w": (3, 5)})


def _every_operation() -> list[str]:
    return ["save_file", "write_json", "fsync", "replace"]


@pytest.mark.parametrize("operation", _every_operation())
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_failing_write_leaves_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, code: int
) -> None:
    """Fails the n-th call of one file operation for every n until a save succeeds; the old checkpoint must survive each time."""
    save_checkpoint(tmp_path, make(1), keep=1)
    owner = module if hasattr(module, operation) else os
    original = getattr(owner, operation)
    for failing in range(1, 100):
        calls = 0

        def faulty(*arguments: object, failing: int = failing) -> object:
            nonlocal calls
            calls += 1
            if calls == failing:
                raise OSError(code, os.strerror(code))
            return original(*arguments)

        monkeypatch.setattr(owner, operation, faulty)
        try:
            save_checkpoint(tmp_path, make(2), keep=1)
        except OSError as error:
            assert error.errno == code
        else:
            break
        finally:
            monkeypatch.setattr(owner, operation, original)
        newest = checkpoint_steps(tmp_path)[-1]
        assert load_checkpoint(checkpoint_path(tmp_path, newest)).step == newest
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".writing")]
    else:
        pytest.fail("the save never succeeded")
    assert failing > 1, "the operation was never reached"
    assert checkpoint_steps(tmp_path) == [2]
