"""MindSpore's own checkpoint files, `.ckpt`: weights for other programs, and the checkpoint names of the original.

Such a file holds the network's weights and, so that it explains itself, the step, the samples seen and the network's sizes. It is an
export: a run resumes from its own verified checkpoints, which hold the optimizer too.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mindspore import Parameter

from bert_thor.compat import read_ckpt, write_ckpt
from bert_thor.errors import CheckpointError, ConfigError
from bert_thor.network.sizes import BertConfig


class Exported(NamedTuple):
    """What a .ckpt file holds."""

    step: int
    samples: int
    model: BertConfig
    weights: dict[str, np.ndarray]


def export_ckpt(path: Path, parameters: Sequence[Parameter], model: BertConfig, step: int, samples: int) -> None:
    """Write the file `path`, which must end in .ckpt: whole or not at all."""
    temporary = path.with_name(f".writing-{path.name}")
    facts = {"step": step, "samples": samples}
    facts.update({f"model.{name}": value for name, value in asdict(model).items()})
    temporary.unlink(missing_ok=True)
    try:
        write_ckpt(parameters, temporary, facts)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def import_ckpt(path: Path) -> Exported:
    """Read what `export_ckpt` wrote; raises `CheckpointError` when the file is missing, damaged or made by another program."""
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist: give the path of a .ckpt file")
    stored = read_ckpt(path)
    try:
        step, samples = (int(stored.pop(name).item()) for name in ("step", "samples"))
        stored.pop("block", None)  # of older files, whose network knew the optimizer's blocks
        facts = {field.name: str(stored.pop(f"model.{field.name}").reshape(-1)[0]) for field in fields(BertConfig)}
        kinds: dict[str, Any] = {field.name: type(field.default) for field in fields(BertConfig)}
        model = BertConfig(**{name: kind(facts[name]) for name, kind in kinds.items()})
        model.check()
    except (KeyError, ValueError, ConfigError) as error:
        raise CheckpointError(
            f"{path} does not say which network it belongs to ({error}): it was written by another program"
        ) from None
    return Exported(step, samples, model, stored)
