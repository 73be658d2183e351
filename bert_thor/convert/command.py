"""What `bert-thor convert` does."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Optional

import numpy as np
import tyro

from bert_thor.convert.huggingface import import_huggingface, is_huggingface, write_huggingface
from bert_thor.convert.run import write_run
from bert_thor.convert.tensorflow_checkpoint import import_tensorflow
from bert_thor.data.atomic_folder import atomic_folder
from bert_thor.data.text.vocabulary import read_vocabulary
from bert_thor.errors import ConvertError
from bert_thor.network.sizes import BertConfig
from bert_thor.training.trained import VOCABULARY, is_run, read_trained


@dataclass(frozen=True)
class ConvertConfig:
    """Between a run of ours and the checkpoints of others; what --from holds decides the direction."""

    source: Annotated[Path, tyro.conf.arg(name="from")]
    """A run or one of its checkpoints (becomes a Hugging Face folder); or a Hugging Face folder, or the prefix of a
    TensorFlow checkpoint with bert_config.json beside it (either becomes a run)."""
    output: Annotated[Path, tyro.conf.arg(name="to")]
    """The new folder."""
    vocabulary: Optional[Path] = None
    """vocab.txt for the new folder; by default the one that belongs to --from, where there is one."""


def convert(config: ConvertConfig) -> None:
    """Convert, and print one line that says what was written.

    Errors: `ConvertError`, `CheckpointError`, `ConfigError` or `DataError`, one sentence each; the output is then absent.
    """
    source = config.source
    if is_run(source):
        export_huggingface(source, config.output, config.vocabulary)
    elif is_huggingface(source):
        _import(*import_huggingface(source), config.vocabulary or _beside(source), config.output)
    elif source.is_dir() or Path(f"{source}.index").is_file():
        _import(*import_tensorflow(source), config.vocabulary or _beside(source), config.output)
    else:
        raise ConvertError(
            f"{source} is neither a run, a Hugging Face folder nor the prefix of a TensorFlow checkpoint: give one as --from"
        )


def export_huggingface(folder: Path, output: Path, vocabulary: Optional[Path] = None) -> None:
    """Write the run or checkpoint `folder` as a folder that `transformers` loads as BertForPreTraining."""
    trained = read_trained(folder)
    vocabulary = _checked(vocabulary or trained.vocabulary, trained.config)
    with atomic_folder(output) as partial:
        write_huggingface(partial, trained.config, trained.parameters)
        _copy(vocabulary, partial)
    _report(output, "a Hugging Face BertForPreTraining", trained.parameters, vocabulary)


def _import(config: BertConfig, parameters: dict[str, np.ndarray], vocabulary: Optional[Path], output: Path) -> None:
    vocabulary = _checked(vocabulary, config)
    with atomic_folder(output) as partial:
        write_run(partial, config, parameters)
        _copy(vocabulary, partial)
    _report(output, "a run with a checkpoint of step 0", parameters, vocabulary)


def _beside(source: Path) -> Optional[Path]:
    path = (source if source.is_dir() else source.parent) / VOCABULARY
    return path if path.is_file() else None


def _checked(vocabulary: Optional[Path], config: BertConfig) -> Optional[Path]:
    if vocabulary is not None and len(read_vocabulary(vocabulary)) != config.vocab_size:
        raise ConvertError(
            f"{vocabulary} has {len(read_vocabulary(vocabulary))} word pieces, the network has {config.vocab_size}: "
            "give the vocabulary that it was trained with as --vocabulary"
        )
    return vocabulary


def _copy(vocabulary: Optional[Path], folder: Path) -> None:
    if vocabulary is not None:
        shutil.copyfile(vocabulary, folder / VOCABULARY)


def _report(output: Path, kind: str, parameters: dict[str, np.ndarray], vocabulary: Optional[Path]) -> None:
    count = sum(value.size for value in parameters.values())
    words = f"vocabulary {vocabulary}" if vocabulary else "no vocabulary found: add vocab.txt by hand"
    print(f"{output}: {kind}, {count:,} parameters, {words}", flush=True)
