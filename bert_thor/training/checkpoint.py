"""Checkpoints that are whole or absent: written beside, synced, read back, named by rename, and verified before use.

A checkpoint is a folder `step-00001000` with model.safetensors, optimizer.safetensors, state.json and manifest.json,
which holds the size and SHA-256 of the others. The manifest is written last and the folder gets its name last, so a
folder without a valid manifest is not one. A folder loses its name before it is deleted, so a deletion that is cut
short leaves no half checkpoint either.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from bert_thor.errors import CheckpointError
from bert_thor.files import make_folder, read_json_object, sync, write_json

FORMAT = 1
"""Version of the folder's layout."""
_NAME = re.compile(r"step-(\d{8,15})")
_UNFINISHED = re.compile(r"\.(writing|deleting)-step-\d{8,15}")


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


def save_checkpoint(folder: Path, checkpoint: Checkpoint, keep: int, best: Optional[int] = None) -> Path:
    """Write `checkpoint` into `folder`, then delete all but the newest `keep` up to its step, and the one of step `best`.

    A whole checkpoint of the same step is left as it is, a damaged one is replaced. Nothing is deleted before the new
    one is safe, and checkpoints of later steps are not touched. `folder` must not be written by two processes at once.
    Errors: OSError from the operating system, CheckpointError when what was written reads back differently; the
    checkpoints that were there are still there then.
    """
    make_folder(folder)
    _clear_unfinished(folder)
    target = checkpoint_path(folder, checkpoint.step)
    if not _is_whole(target):
        _write(folder, target, checkpoint)
    for step in [step for step in checkpoint_steps(folder) if step <= checkpoint.step][:-keep]:
        if step != best:
            _delete(checkpoint_path(folder, step))
    return target


def newest_checkpoint(folder: Path, warn: Callable[[str], None]) -> tuple[Path, Checkpoint] | None:
    """The newest checkpoint of `folder` that is whole; None when there is no checkpoint at all.

    `warn` gets one sentence for each newer one that is not usable. `CheckpointError` when all of them are damaged.
    """
    steps = checkpoint_steps(folder)
    for step in reversed(steps):
        path = checkpoint_path(folder, step)
        try:
            return path, load_checkpoint(path)
        except CheckpointError as error:
            warn(f"the checkpoint of step {step} is not usable ({error}): going back to an older one")
    if steps:
        raise CheckpointError(
            f"none of the {len(steps)} checkpoints in {folder} is usable: restore one from a copy, or start another run"
        )
    return None


def load_checkpoint(path: Path) -> Checkpoint:
    """Read and verify the checkpoint at `path`; raises `CheckpointError` when a file is missing, foreign or damaged."""
    manifest = read_json_object(path / "manifest.json", CheckpointError)
    if (
        type(manifest.get("format")) is not int
        or manifest["format"] != FORMAT
        or not isinstance(manifest.get("files"), dict)
    ):
        raise CheckpointError(f"{path / 'manifest.json'} is not a checkpoint manifest of format {FORMAT}")
    for name in ("model.safetensors", "optimizer.safetensors", "state.json"):
        _verify(path / name, manifest["files"].get(name))
    state = read_json_object(path / "state.json", CheckpointError)
    step = state.get("step")
    if type(step) is not int or checkpoint_path(path.parent, step).name != path.name:
        raise CheckpointError(f"{path / 'state.json'} is of step {step!r}, which is not the step in its folder's name")
    model, optimizer = _read_tensors(path / "model.safetensors"), _read_tensors(path / "optimizer.safetensors")
    return Checkpoint(step, model, optimizer, state)


def match_parameters(path: Path, stored: Mapping[str, np.ndarray], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raise `CheckpointError` unless names and shapes of `stored` are exactly those of `expected`."""
    missing, foreign = sorted(set(expected) - set(stored)), sorted(set(stored) - set(expected))
    if missing:
        raise CheckpointError(
            f"{path} lacks parameter {missing[0]} ({len(missing)} missing): it belongs to another configuration"
        )
    if foreign:
        raise CheckpointError(
            f"{path} holds parameter {foreign[0]}, which this configuration does not have ({len(foreign)} such)"
        )
    for name, shape in expected.items():
        if stored[name].shape != tuple(shape):
            raise CheckpointError(
                f"{path} holds {name} of shape {stored[name].shape}, this configuration needs {tuple(shape)}"
            )


def _write(folder: Path, target: Path, checkpoint: Checkpoint) -> None:
    """Make `target`, whatever stands in its place, by way of a temporary folder beside it."""
    if target.exists() or target.is_symlink():
        _delete(target)
    temporary = folder / f".writing-{target.name}"
    try:
        temporary.mkdir()
        _write_files(temporary, checkpoint)
        sync(temporary)
        os.rename(temporary, target)
        sync(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _write_files(folder: Path, checkpoint: Checkpoint) -> None:
    _write_tensors(folder / "model.safetensors", checkpoint.model)
    _write_tensors(folder / "optimizer.safetensors", checkpoint.optimizer)
    write_json(folder / "state.json", {**checkpoint.state, "step": checkpoint.step})
    files = {path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)} for path in sorted(folder.iterdir())}
    write_json(folder / "manifest.json", {"format": FORMAT, "files": files})


def _write_tensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Write, sync and read back: the manifest will say that the file is right, so it has to be what memory holds."""
    try:
        save_file(dict(tensors), path)
    except SafetensorError as error:
        raise _as_os_error(error, path) from None
    sync(path)
    stored = _read_tensors(path)
    same = stored.keys() == tensors.keys() and all(
        stored[name].tobytes() == tensors[name].tobytes() for name in tensors
    )
    if not same:
        raise CheckpointError(f"{path} does not read back as it was written: the disk is faulty; it was not kept")


def _as_os_error(error: SafetensorError, path: Path) -> Exception:
    """The operating system's error that the library reports as text, such as `... (os error 28)`."""
    found = re.search(r"\(os error (\d+)\)", str(error))
    if found is None:
        return CheckpointError(f"{path} cannot be written: {error}")
    return OSError(int(found.group(1)), os.strerror(int(found.group(1))), str(path))


def _read_tensors(path: Path) -> dict[str, np.ndarray]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is not a safetensors file of numbers: {error}") from None


def _is_whole(path: Path) -> bool:
    try:
        load_checkpoint(path)
    except CheckpointError:
        return False
    return True


def _delete(path: Path) -> None:
    """Delete a checkpoint, its name first; of a symbolic link the link alone."""
    unnamed = path.with_name(f".deleting-{path.name}")
    os.rename(path, unnamed)
    _remove(unnamed)


def _clear_unfinished(folder: Path) -> None:
    """Remove what a killed process was writing or deleting."""
    for path in folder.iterdir():
        if _UNFINISHED.fullmatch(path.name):
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path)


def _verify(path: Path, entry: Any) -> None:
    if path.is_symlink():
        raise CheckpointError(f"{path} is a symbolic link: a checkpoint holds its own files")
    if not isinstance(entry, dict) or not path.is_file():
        raise CheckpointError(f"{path} is missing: the checkpoint is incomplete")
    size = path.stat().st_size
    if size != entry.get("bytes"):
        raise CheckpointError(
            f"{path} has {size} bytes, its manifest says {entry.get('bytes')}: the file was cut or extended"
        )
    if _sha256(path) != entry.get("sha256"):
        raise CheckpointError(f"{path} does not have the SHA-256 of its manifest: the file was changed or damaged")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()
