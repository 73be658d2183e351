"""TensorFlow checkpoints of google-research/bert, such as MLPerf's starting point model.ckpt-28252.

TensorFlow reads them, so it must be installed (the extra `tensorflow`); nothing else in the project needs it. MLPerf's
network has the tanh approximation of GELU and ours the exact one: the two differ by less than 5e-4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Callable

import numpy as np

from bert_thor.convert.model_config import read_model_config
from bert_thor.convert.names import TENSORFLOW, Imported, gather, name_map
from bert_thor.errors import ConvertError
from bert_thor.network.sizes import BertConfig

CONFIG, EXAMPLE = "bert_config.json", "folder/model.ckpt-28252"
_NETWORK = ("bert/", "cls/")
"""Scopes of the network; whatever lies outside is the optimizer's or the loop's."""


def import_tensorflow(path: Path) -> Imported:
    """Sizes and parameters of a checkpoint, with bert_config.json beside it.

    `path` is the checkpoint's prefix (such as folder/model.ckpt-28252) or a folder that holds one checkpoint.
    Errors: `ConvertError` as for `import_huggingface`, and when TensorFlow is not installed.
    """
    prefix = checkpoint_prefix(path)
    config = read_model_config(prefix.parent / CONFIG)
    tensorflow = _tensorflow(prefix)
    with _one_sentence(prefix, tensorflow):
        reader = tensorflow.train.load_checkpoint(str(prefix))
        return from_variables(config, reader.get_variable_to_shape_map(), reader.get_tensor)


def from_variables(
    config: BertConfig, shapes: Mapping[str, tuple[int, ...]], read: Callable[[str], np.ndarray]
) -> Imported:
    """Our parameters from the variables of a checkpoint; slots of the optimizer (`<variable>/<slot>`) are left out.

    `shapes` gives every variable of the checkpoint, `read` returns one. Errors: `ConvertError` naming the variable.
    """
    known = {name for entry in name_map(config, TENSORFLOW) for name in entry.theirs}
    of_network = {name for name in shapes if name.startswith(_NETWORK) and name.rpartition("/")[0] not in known}
    foreign = sorted(of_network - known)
    if foreign:
        raise ConvertError(f"variable {foreign[0]} is not part of a BERT of this size ({len(foreign)} such)")
    return gather(config, TENSORFLOW, {name: tuple(shape) for name, shape in shapes.items()}, read)


def checkpoint_prefix(path: Path) -> Path:
    """The prefix of the checkpoint that `path` means: itself, or the only one in the folder `path`."""
    if not path.is_dir():
        if not Path(f"{path}.index").is_file():
            raise ConvertError(
                f"{path}.index is missing: give the prefix of a TensorFlow checkpoint, such as {EXAMPLE}"
            )
        return path
    found = sorted(path.glob("*.index"))
    if len(found) != 1:
        raise ConvertError(
            f"{path} holds {len(found)} TensorFlow checkpoints and no other model: give the prefix of one, such as {EXAMPLE}"
        )
    return found[0].with_suffix("")


def _tensorflow(prefix: Path) -> Any:
    try:
        return import_module("tensorflow")
    except ImportError:
        raise ConvertError(
            f"reading {prefix} needs TensorFlow, which is not installed: pip install tensorflow"
        ) from None


@contextmanager
def _one_sentence(prefix: Path, tensorflow: Any) -> Iterator[None]:
    """Inside, whatever TensorFlow raises for a damaged file becomes `ConvertError`, and every `ConvertError` names the checkpoint."""
    try:
        yield
    except ConvertError as error:
        raise ConvertError(f"{prefix}: {error}") from None
    except (tensorflow.errors.OpError, IndexError, RuntimeError, ValueError) as error:
        raise ConvertError(f"{prefix} cannot be read as a TensorFlow checkpoint: {error}") from error
