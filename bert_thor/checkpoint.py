"""Checkpoints that are whole or absent: written beside, synced, named by rename, and verified before a byte of them is used.

A checkpoint is a folder `step-00001000` with model.safetensors, optimizer.safetensors, state.json and manifest.json, which holds the size and
SHA-256 of the others. The manifest is written last and the folder gets its name last, so a folder without a valid manifest is not one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any, Mapping, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

FORMAT = 1
"""Version of the folder's layout."""
_NAME = re.compile(r"step-(\d{8,})")


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message names the file and the reason."""


class Checkpoint(NamedTuple):
    """What a checkpoint holds."""

    step: int
    model: dict[str, np.ndarray]
    optimizer: dict[str, np.ndarray]
    state: dict[str, Any]


def checkpoint_steps(folder: Path) -> list[int]:
    """The steps that `folder` holds checkpoints of, in order; folders that were never finished do not count."""
    if not folder.is_dir():
        return []
    found = (_NAME.fullmatch(path.name) for path in folder.iterdir() if (path / "manifest.json").is_file())
    return sorted(int(match.group(1)) for match in found if match)


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the checkpoint of `step` lies."""
    return folder / f"step-{step:08d}"


def save_checkpoint(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write `checkpoint` into `folder` and delete all but the newest `keep`; on any error the folder is as it was."""
    folder.mkdir(parents=True, exist_ok=True)
    target = checkpoint_path(folder, checkpoint.step)
    temporary = folder / f".writing-{target.name}"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir()
        _write_files(temporary, checkpoint)
        _sync(temporary)
        if target.exists():
            shutil.rmtree(target)
        os.replace(temporary, target)
        _sync(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    for step in checkpoint_steps(folder)[:-keep]:
        shutil.rmtree(checkpoint_path(folder, step))
    return target


def load_checkpoint(path: Path) -> Checkpoint:
    """Read and verify the checkpoint at `path`; raises `CheckpointError` when a file is missing, foreign or damaged."""
    manifest = _read_json(path / "manifest.json")
    if manifest.get("format") != FORMAT or not isinstance(manifest.get("files"), dict):
        raise CheckpointError(f"{path / 'manifest.json'} is not a checkpoint manifest of format {FORMAT}")
    for name in ("model.safetensors", "optimizer.safetensors", "state.json"):
        _verify(path / name, manifest["files"].get(name))
    state = _read_json(path / "state.json")
    try:
        model, optimizer = load_file(path / "model.safetensors"), load_file(path / "optimizer.safetensors")
    except SafetensorError as error:
        raise CheckpointError(f"{path} holds a file that is not safetensors: {error}") from error
    return Checkpoint(int(state["step"]), model, optimizer, state)


def match_parameters(path: Path, stored: Mapping[str, np.ndarray], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raise `CheckpointError` unless names and shapes of `stored` are exactly those of `expected`."""
    missing, foreign = sorted(set(expected) - set(stored)), sorted(set(stored) - set(expected))
    if missing:
        raise CheckpointError(f"{path} lacks parameter {missing[0]} ({len(missing)} missing): it belongs to another configuration")
    if foreign:
        raise CheckpointError(f"{path} holds parameter {foreign[0]}, which this configuration does not have ({len(foreign)} such)")
    for name, shape in expected.items():
        if stored[name].shape != tuple(shape):
            raise CheckpointError(f"{path} holds {name} of shape {stored[name].shape}, this configuration needs {tuple(shape)}")


def write_json(path: Path, value: Any) -> None:
    """Write JSON through a temporary file and a rename, so that readers see the old or the new content and nothing between."""
    temporary = path.with_name(f".writing-{path.name}")
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _write_files(folder: Path, checkpoint: Checkpoint) -> None:
    save_file(checkpoint.model, folder / "model.safetensors")
    save_file(checkpoint.optimizer, folder / "optimizer.safetensors")
    write_json(folder / "state.json", {**checkpoint.state, "step": checkpoint.step})
    files = {}
    for path in sorted(folder.iterdir()):
        _sync(path)
        files[path.name] = {"bytes": path.stat().st_size, "sha256": _sha256(path)}
    write_json(folder / "manifest.json", {"format": FORMAT, "files": files})


def _verify(path: Path, entry: Any) -> None:
    if not isinstance(entry, dict) or not path.is_file():
        raise CheckpointError(f"{path} is missing: the checkpoint is incomplete")
    size = path.stat().st_size
    if size != entry.get("bytes"):
        raise CheckpointError(f"{path} has {size} bytes, its manifest says {entry.get('bytes')}: the file was cut or extended")
    if _sha256(path) != entry.get("sha256"):
        raise CheckpointError(f"{path} does not have the SHA-256 of its manifest: the file was changed or damaged")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: there is no complete checkpoint here") from None
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} does not hold a JSON object")
    return value


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
