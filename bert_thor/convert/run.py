"""What a conversion into this project writes: a run with one checkpoint, of step 0."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from bert_thor.files import write_json
from bert_thor.network.sizes import BertConfig
from bert_thor.training.checkpoint import Checkpoint, save_checkpoint


def write_run(folder: Path, config: BertConfig, parameters: dict[str, np.ndarray]) -> None:
    """Write into the existing `folder` what evaluation and export need of a run: sizes, and a checkpoint of step 0."""
    sizes = {f"model.{name}": value for name, value in asdict(config).items()}
    write_json(folder / "config.json", sizes)
    save_checkpoint(folder / "checkpoints", Checkpoint(0, parameters, {}, {"samples": 0}), keep=1)
