"""The tensors of a Hugging Face folder: one model.safetensors, or several files with an index; under today's names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, deserialize, safe_open

from bert_thor.errors import ConvertError
from bert_thor.files import read_json_object

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
OTHER_HEADS = "pretraining_heads.safetensors"
"""In a folder that we write: the tensors that `BertForMaskedLM` has no place for."""
CONSTANT = "bert.embeddings.position_ids"
"""0, 1, 2, ...: saved by some versions."""
_COPIES = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}
"""Tied tensors, which some versions save twice, and some under the first name alone."""
_TYPES = ("F16", "F32", "F64", "BF16")


class _File:
    """An open file of tensors."""

    def __init__(self, path: Path, handle: Any) -> None:
        self.path, self.handle = path, handle
        self._bytes: dict[str, bytes] = {}

    def read(self, name: str, known_as: str) -> np.ndarray:
        """A tensor; a bfloat16 one, which NumPy does not know, as float32, whose upper half it is."""
        tensor = self.handle.get_slice(name)
        kind = tensor.get_dtype()
        if kind not in _TYPES:
            raise ConvertError(f"tensor {known_as} is stored as {kind}: save the model in float32 (F32) first")
        if kind != "BF16":
            value: np.ndarray = self.handle.get_tensor(name)
            return value
        if not self._bytes:
            self._bytes = {name: entry["data"] for name, entry in deserialize(self.path.read_bytes())}  # type: ignore[no-untyped-call]
        upper = np.frombuffer(self._bytes[name], "<u2").astype(np.uint32)
        return (upper << 16).view(np.float32).reshape(tensor.get_shape())


class _Place(NamedTuple):
    """Where a tensor lies, and under what name."""

    file: _File
    name: str


class StoredTensors:
    """The tensors of a folder by the names that `BertForPreTraining` has today.

    A bare encoder's names lack `bert.`; old files call the norms' weight and bias gamma and beta. Errors: `ConvertError`
    for a tensor under two names, and for a decoder that is not tied to the token table.
    """

    def __init__(self, places: list[_Place]) -> None:
        is_bare = not any(place.name.startswith(("bert.", "cls.")) for place in places)
        self._places: dict[str, _Place] = {}
        for place in places:
            name = _today(place.name, is_bare)
            if name in self._places:
                raise ConvertError(f"tensor {name} is stored under both its old and its new names: keep one of the two")
            self._places[name] = place
        self._untie()
        self.shapes = {
            name: tuple(place.file.handle.get_slice(place.name).get_shape()) for name, place in self._places.items()
        }

    def read(self, name: str) -> np.ndarray:
        """The tensor `name`; a bfloat16 one as float32."""
        place = self._places[name]
        return place.file.read(place.name, name)

    def _untie(self) -> None:
        for copy, original in _COPIES.items():
            place = self._places.pop(copy, None)
            if place is None:
                continue
            self._places.setdefault(original, place)
            if not np.array_equal(place.file.read(place.name, copy), self.read(original)):
                raise ConvertError(f"tensor {copy} differs from {original}: an untied decoder cannot be converted")


@contextmanager
def open_tensors(folder: Path) -> Iterator[StoredTensors]:
    """The tensors of model.safetensors, or of the files that its index names, and of the file of other heads where there is one.

    Errors: `ConvertError` naming the file when one is missing, damaged, or not what the index says.
    """
    path = folder / (WEIGHTS if (folder / WEIGHTS).is_file() or not (folder / INDEX).is_file() else INDEX)
    if not path.is_file():
        raise ConvertError(f"{path} is missing: save the model with save_pretrained(..., safe_serialization=True)")
    with ExitStack() as files:
        places = _indexed(path, files) if path.name == INDEX else _in_file(path, files)
        if (folder / OTHER_HEADS).is_file():
            places += _in_file(folder / OTHER_HEADS, files)
        try:
            yield StoredTensors(places)
        except ConvertError as error:
            raise ConvertError(f"{path}: {error}") from None
        except SafetensorError as error:
            raise ConvertError(f"{path} is not a whole safetensors file: {error}") from error


def _in_file(path: Path, files: ExitStack) -> list[_Place]:
    try:
        file = _File(path, files.enter_context(safe_open(path, framework="numpy")))
    except (SafetensorError, OSError) as error:
        raise ConvertError(f"{path} is not a whole safetensors file: {error}") from error
    names: list[str] = file.handle.keys()
    return [_Place(file, name) for name in names]


def _indexed(index: Path, files: ExitStack) -> list[_Place]:
    """The tensors that the index lists, from the files that it names; these lie beside it."""
    listed = read_json_object(index, ConvertError).get("weight_map")
    if not isinstance(listed, dict) or not all(isinstance(name, str) for name in listed.values()):
        raise ConvertError(f"{index} has no weight_map from tensors to files: save the model again")
    places: dict[str, _Place] = {}
    for name in sorted(set(listed.values())):
        path = index.parent / name
        if path.parent != index.parent or not path.is_file():
            raise ConvertError(
                f"{index} names the file {name!r}, which is not beside it: download all of the model's files"
            )
        places.update({place.name: place for place in _in_file(path, files) if listed.get(place.name) == name})
    missing = sorted(set(listed) - set(places))
    if missing:
        raise ConvertError(
            f"{index} says that {listed[missing[0]]} holds {missing[0]}, which it does not: download it again"
        )
    return list(places.values())


def _today(name: str, is_bare: bool) -> str:
    name = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
    return f"bert.{name}" if is_bare else name
