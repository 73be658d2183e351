"""Folders that `transformers` saves a `BertForPreTraining` into and loads one from: config.json, model.safetensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from bert_thor.convert.model_config import read_model_config, to_huggingface
from bert_thor.convert.names import HUGGING_FACE, gather, name_map, scatter
from bert_thor.errors import ConvertError
from bert_thor.files import write_json
from bert_thor.network.sizes import BertConfig

CONFIG, WEIGHTS = "config.json", "model.safetensors"
_TIED = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}
"""Copies that some versions save beside the original."""
_CONSTANT = "bert.embeddings.position_ids"
"""0, 1, 2, ...: saved by some versions."""


def is_huggingface(folder: Path) -> bool:
    """Whether `folder` looks like a saved model."""
    return (folder / CONFIG).is_file() or (folder / WEIGHTS).is_file()


def import_huggingface(folder: Path) -> tuple[BertConfig, dict[str, np.ndarray]]:
    """Sizes and parameters (float32, under our names) of the model in `folder`.

    Errors: `ConvertError` naming the file and the tensor when one is missing, foreign, of another shape, or not float16,
    32 or 64; when the vocabulary size is another; when the decoder is not tied to the token table; and when the network
    is not BERT's.
    """
    config = read_model_config(folder / CONFIG)
    entries = name_map(config, HUGGING_FACE)
    with _open(folder) as file:
        try:
            _refuse_foreign(file, {name for entry in entries for name in entry.theirs})
            parameters = gather(entries, file.shapes, file.read)
            _check_tied(file)
        except ConvertError as error:
            raise ConvertError(f"{file.path}: {error}") from None
    return config, parameters


def write_huggingface(folder: Path, config: BertConfig, parameters: Mapping[str, np.ndarray]) -> None:
    """Write config.json and model.safetensors into the existing `folder`.

    `parameters` are all of the network's (`network.architecture`).
    """
    write_json(folder / CONFIG, to_huggingface(config))
    # transformers refuses a file without this mark.
    save_file(scatter(name_map(config, HUGGING_FACE), parameters), folder / WEIGHTS, metadata={"format": "pt"})


class _Weights:
    """An open model.safetensors under today's names: old files call the norms' weight and bias gamma and beta."""

    def __init__(self, path: Path, file: Any) -> None:
        self.path, self.file = path, file
        names = list(file.keys())
        self.stored = {_today(name): name for name in names}
        if len(self.stored) != len(names):
            raise ConvertError(f"{path} holds a LayerNorm under both its old and its new names: keep one of the two")
        self.shapes = {name: tuple(file.get_slice(stored).get_shape()) for name, stored in self.stored.items()}

    def read(self, name: str) -> np.ndarray:
        """The tensor `name`."""
        dtype = self.file.get_slice(self.stored[name]).get_dtype()
        if dtype not in ("F16", "F32", "F64"):
            raise ConvertError(f"tensor {name} is stored as {dtype}: save the model in float32 (F32) first")
        value: np.ndarray = self.file.get_tensor(self.stored[name])
        return value


@contextmanager
def _open(folder: Path) -> Iterator[_Weights]:
    path = folder / WEIGHTS
    if not path.is_file():
        raise ConvertError(f"{path} is missing: save the model with save_pretrained(..., safe_serialization=True)")
    try:
        with safe_open(path, framework="numpy") as file:
            yield _Weights(path, file)
    except SafetensorError as error:
        raise ConvertError(f"{path} is not a whole safetensors file: {error}") from error


def _today(name: str) -> str:
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _refuse_foreign(file: _Weights, known: set[str]) -> None:
    foreign = sorted(set(file.shapes) - known - set(_TIED) - {_CONSTANT})
    if foreign:
        raise ConvertError(
            f"tensor {foreign[0]} is not part of a BertForPreTraining of this size ({len(foreign)} such)"
        )


def _check_tied(file: _Weights) -> None:
    for copy, original in _TIED.items():
        if copy in file.shapes and not np.array_equal(file.read(copy), file.read(original)):
            raise ConvertError(f"tensor {copy} differs from {original}: an untied decoder cannot be converted")
