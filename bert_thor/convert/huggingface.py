"""Folders that `transformers` saves a BERT into and loads one from: config.json, model.safetensors and the tokenizer's files."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from bert_thor.convert.model_config import read_model_config, to_huggingface
from bert_thor.convert.names import HUGGING_FACE, Imported, gather, name_map, scatter
from bert_thor.convert.stored_tensors import CONSTANT, INDEX, OTHER_HEADS, WEIGHTS, StoredTensors, open_tensors
from bert_thor.errors import ConvertError
from bert_thor.files import write_json
from bert_thor.network.sizes import BertConfig

CONFIG = "config.json"
MASKED_LM, PRETRAINING = "BertForMaskedLM", "BertForPreTraining"
_NOT_MASKED_LM = ("bert.pooler.", "cls.seq_relationship.")


def is_huggingface(folder: Path) -> bool:
    """Whether `folder` looks like a saved model."""
    return any((folder / name).is_file() for name in (CONFIG, WEIGHTS, INDEX))


def read_huggingface_config(folder: Path) -> BertConfig:
    """The sizes of the model in `folder`; errors as `import_huggingface`."""
    return read_model_config(folder / CONFIG)


def import_huggingface(folder: Path) -> Imported:
    """Sizes and parameters of the model in `folder`: a `BertForPreTraining`, `BertForMaskedLM` or `BertModel`.

    Errors: `ConvertError` naming the file and the tensor when one is missing, foreign, of another shape, not of floating
    point, or not finite; when the vocabulary size is another; when the decoder is not tied to the token table; and when
    the network is not BERT's.
    """
    config = read_huggingface_config(folder)
    with open_tensors(folder) as stored:
        _refuse_foreign(stored, config)
        return gather(config, HUGGING_FACE, stored.shapes, stored.read)


def write_huggingface(
    folder: Path, config: BertConfig, parameters: Mapping[str, np.ndarray], architecture: str = MASKED_LM
) -> None:
    """Write config.json and model.safetensors into the existing `folder`, for the `architecture` of `transformers`.

    `parameters` are all of the network's (`network.architecture`). What `BertForMaskedLM` has no place for goes into a
    file of its own, which `transformers` does not look at and `import_huggingface` does.
    """
    write_json(folder / CONFIG, to_huggingface(config, architecture))
    tensors = scatter(name_map(config, HUGGING_FACE), parameters)
    others = {}
    if architecture == MASKED_LM:
        others = {name: tensors.pop(name) for name in list(tensors) if name.startswith(_NOT_MASKED_LM)}
    for name, content in ((WEIGHTS, tensors), (OTHER_HEADS, others)):
        if content:
            save_file(
                content, folder / name, metadata={"format": "pt"}
            )  # transformers refuses a file without this mark
            # The library lets the owner alone read what it writes.
            (folder / name).chmod(stat.S_IMODE((folder / CONFIG).stat().st_mode))


def _refuse_foreign(stored: StoredTensors, config: BertConfig) -> None:
    known = {name for entry in name_map(config, HUGGING_FACE) for name in entry.theirs}
    foreign = sorted(set(stored.shapes) - known - {CONSTANT})
    if foreign:
        raise ConvertError(
            f"tensor {foreign[0]} is not part of a BertForPreTraining of this size ({len(foreign)} such)"
        )
