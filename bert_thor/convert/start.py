"""What `--start` takes: a network, whoever wrote it, to go on from with other data."""

from __future__ import annotations

from pathlib import Path

from bert_thor.convert.command import read_source
from bert_thor.convert.huggingface import is_huggingface, read_huggingface_config
from bert_thor.network.sizes import BertConfig
from bert_thor.training.run_folder import RunFolder
from bert_thor.training.trained import Trained, is_run, run_folder_of


def read_start(path: Path) -> Trained:
    """Sizes, weights and word pieces of the network at `path`; a line says which heads it lacks. Errors: as `convert`."""
    model, vocabulary, cased = read_source(path)
    if model.fresh:
        print(f"{path} has no {', no '.join(model.fresh)}: what is missing starts as in a new network", flush=True)
    return Trained(model.config, model.parameters, vocabulary, cased)


def read_sizes(path: Path) -> BertConfig:
    """The sizes of the network at `path`, without its weights where they stand in a file of their own."""
    if is_run(path):
        return RunFolder(run_folder_of(path)).read_model()
    return read_huggingface_config(path) if is_huggingface(path) else read_source(path).model.config
