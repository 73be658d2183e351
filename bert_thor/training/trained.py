"""What a run has learnt: the weights of its newest checkpoint or of a named one, and the word pieces that go with them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from bert_thor.errors import CheckpointError
from bert_thor.network.architecture import parameter_shapes
from bert_thor.network.sizes import BertConfig
from bert_thor.training.checkpoint import checkpoint_path, load_checkpoint, match_parameters
from bert_thor.training.run_data import read_run_data, run_vocabulary
from bert_thor.training.run_folder import RunFolder


class Trained(NamedTuple):
    """What a run has learnt."""

    config: BertConfig
    parameters: dict[str, np.ndarray]
    vocabulary: Optional[Path]
    """The word pieces that it was trained with, in the run's own folder; None where it has none."""
    cased: Optional[bool] = None
    """Whether its text kept the capitals, where that is known."""


def is_run(folder: Path) -> bool:
    """Whether `folder` is a run, or one checkpoint of a run."""
    is_checkpoint = folder.parent.name == "checkpoints" and (folder / "manifest.json").is_file()
    return is_checkpoint or (folder / "checkpoints").is_dir()


def run_folder_of(folder: Path) -> Path:
    """The run that `folder`, which `is_run`, is or belongs to."""
    return folder if (folder / "checkpoints").is_dir() else folder.parent.parent


def read_trained(folder: Path) -> Trained:
    """The newest checkpoint of the run `folder`, or the checkpoint `folder` of a run.

    Errors: `ConfigError` without a run's config.json, `CheckpointError` without a checkpoint or with a damaged one.
    """
    run = RunFolder(run_folder_of(folder))
    config = run.read_model()
    path = folder
    if folder == run.path:
        if not run.steps():
            raise CheckpointError(f"{run.checkpoints} holds no checkpoint: train first, or give another folder")
        path = checkpoint_path(run.checkpoints, run.steps()[-1])
    parameters = load_checkpoint(path).model
    match_parameters(path, parameters, parameter_shapes(config))
    return Trained(config, parameters, run_vocabulary(run.path), read_run_data(run.path).cased)
