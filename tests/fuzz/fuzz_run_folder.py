"""Fuzzing of everything that is read from a run folder: `make fuzz`, or `python fuzz_run_folder.py -max_total_time=3600`.

Whatever the bytes are, they are refused with a CheckpointError or a ConfigError, or what is returned is within the
promised types and ranges. Anything else is a finding: atheris stops and stores the input as `crash-*`.

The first byte of an input chooses what the rest is: a checkpoint's manifest, its state or its tensors (with a manifest
that has their sums, so that mutations get past the checksum), a configuration, or metrics that a resume cuts.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=[
        "bert_thor.files",
        "bert_thor.training.checkpoint",
        "bert_thor.training.run_folder",
        "bert_thor.network.sizes",
    ]
):
    from bert_thor.errors import CheckpointError, ConfigError
    from bert_thor.recipes import recipe
    from bert_thor.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
    from bert_thor.training.run_folder import RunFolder, resolved

import numpy as np

FOLDER = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
SOUND = Checkpoint(3, {"w": np.ones((2, 3), np.float32)}, {"m": np.zeros(4, np.int32)}, {"samples": 24})
PATH = save_checkpoint(FOLDER / "checkpoints", SOUND, keep=1)
CONTENT = {path.name: path.read_bytes() for path in PATH.iterdir()}


def load(**changed: bytes) -> Checkpoint:
    """A checkpoint with these files changed, and in the manifest, unless the manifest is one of them."""
    files = {**CONTENT, **{name.replace("__", "."): content for name, content in changed.items()}}
    if "manifest__json" not in changed:
        entries = {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in files.items()
            if name != "manifest.json"
        }
        files["manifest.json"] = json.dumps({"format": 1, "files": entries}).encode()
    for name, content in files.items():
        (PATH / name).write_bytes(content)
    return load_checkpoint(PATH)


def check_manifest(content: bytes) -> None:
    """Any manifest that is accepted has the sums of the files that are there."""
    loaded = load(manifest__json=content)
    assert loaded.model.keys() == SOUND.model.keys()


def check_state(content: bytes) -> None:
    """The step is the one in the folder's name."""
    assert load(state__json=content).step == 3


def check_tensors(content: bytes) -> None:
    """Names and arrays, whatever they hold."""
    for name, array in load(model__safetensors=content).model.items():
        assert isinstance(name, str) and isinstance(array, np.ndarray) and array.nbytes <= len(content)


def check_config(content: bytes) -> None:
    """Sizes that a network can have."""
    (FOLDER / "config.json").write_bytes(content)
    assert RunFolder(FOLDER).read_model().hidden_size >= 1


def check_metrics(content: bytes) -> None:
    """What a resume keeps is JSON of steps up to its own."""
    path = FOLDER / "metrics.jsonl"
    path.write_bytes(content)
    RunFolder(FOLDER).truncate(2)
    assert all(float(json.loads(line)["step"]) <= 2 for line in path.read_text().splitlines())


CHECKS = (check_manifest, check_state, check_tensors, check_config, check_metrics)


def check(data: bytes) -> None:
    """One input."""
    if data:
        try:
            CHECKS[data[0] % len(CHECKS)](data[1:])
        except (CheckpointError, ConfigError):
            return


def corpus() -> Path:
    """A folder with a sound input of each kind."""
    folder = FOLDER / "corpus"
    folder.mkdir()
    metrics = b'{"step": 1, "loss": 2.5}\n{"step": 2, "loss": null}\n{"step": 3'
    config = json.dumps(resolved(recipe("demo"))).encode()
    sound = (CONTENT["manifest.json"], CONTENT["state.json"], CONTENT["model.safetensors"], config, metrics)
    for kind, content in enumerate(sound):
        (folder / str(kind)).write_bytes(bytes((kind,)) + content)
    return folder


if __name__ == "__main__":
    found = os.environ.get("FUZZ_CORPUS") or tempfile.mkdtemp()
    atheris.Setup([*sys.argv, found, str(corpus())], check)
    atheris.Fuzz()
