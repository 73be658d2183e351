"""A run's configuration as it was when it began, from config.json: what `--resume` goes on with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bert_thor.entries import with_entries
from bert_thor.recipes import PretrainConfig
from bert_thor.training.run_folder import RunFolder


def read_pretrain_config(run: Path) -> PretrainConfig:
    """The configuration of the run in the folder `run`, wherever that lies now; it does not resume by itself.

    What config.json does not say has its default. Errors: `ConfigError` naming the entry that is not known or not usable.
    """
    folder = RunFolder(run)
    config = with_entries(PretrainConfig(), folder.read_config(), folder.config, Path())
    return replace(config, run=run, resume=False, resume_from=None)
