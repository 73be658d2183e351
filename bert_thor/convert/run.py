"""What a conversion into this project writes: a run with one checkpoint, of step 0."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Optional

import numpy as np

from bert_thor.files import write_json
from bert_thor.network.sizes import BertConfig
from bert_thor.training.checkpoint import Checkpoint, save_checkpoint
from bert_thor.training.run_data import RunData, write_run_data


def write_run(
    folder: Path,
    config: BertConfig,
    parameters: dict[str, np.ndarray],
    vocabulary: Optional[Path],
    cased: Optional[bool],
) -> None:
    """Write into the existing `folder` what evaluation and export need of a run: sizes, vocabulary, and a checkpoint of step 0."""
    sizes = {f"model.{name}": value for name, value in asdict(config).items()}
    write_json(folder / "config.json", sizes)
    write_run_data(folder, RunData(cased=cased), vocabulary)
    save_checkpoint(folder / "checkpoints", Checkpoint(0, parameters, {}, {"samples": 0}), keep=1)
