"""What `bert-thor convert` does."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple, Optional

import tyro
from typing_extensions import Literal

from bert_thor.convert.huggingface import import_huggingface, is_huggingface, write_huggingface
from bert_thor.convert.mindspore_bert import ENDING, import_mindspore
from bert_thor.convert.names import Imported
from bert_thor.convert.run import write_run
from bert_thor.convert.tensorflow_checkpoint import import_tensorflow
from bert_thor.convert.tokenizer import read_cased, write_tokenizer
from bert_thor.data.atomic_folder import atomic_folder
from bert_thor.data.text.vocabulary import Vocabulary, fits_table, read_vocabulary
from bert_thor.errors import ConvertError
from bert_thor.training.best import best_checkpoint
from bert_thor.training.run_data import VOCABULARY, vocabulary_of
from bert_thor.training.run_folder import RunFolder
from bert_thor.training.trained import is_run, read_trained, run_folder_of


@dataclass(frozen=True)
class ConvertConfig:
    """Between a run of ours and the checkpoints of others; what --from holds decides the direction."""

    source: Annotated[Path, tyro.conf.arg(name="from")]
    """A run or one of its checkpoints (becomes a Hugging Face folder); or a Hugging Face folder, a .ckpt file of MindSpore's
    BERT, or the prefix of a TensorFlow checkpoint with bert_config.json beside it (each becomes a run)."""
    output: Annotated[Path, tyro.conf.arg(name="to")]
    """The new folder."""
    checkpoint: Literal["newest", "best"] = "newest"
    """Of a run: the newest one, or that of the best evaluation while training (see pretrain --keep-best)."""
    vocabulary: Optional[Path] = None
    """vocab.txt for the new folder; by default the one that belongs to --from, where there is one."""
    architecture: Literal["BertForMaskedLM", "BertForPreTraining"] = "BertForMaskedLM"
    """Class of a Hugging Face folder: what it has no place for (BertForMaskedLM: pooler and next-sentence head) lies in a file beside."""
    form: Annotated[Literal["huggingface", "mindir"], tyro.conf.arg(name="format")] = "huggingface"
    """What a run becomes: a Hugging Face folder, or one with model.mindir, a graph of MindSpore's own operators."""


class Source(NamedTuple):
    """A checkpoint, and the word pieces that go with it."""

    model: Imported
    vocabulary: Optional[Path]
    cased: Optional[bool]


def convert(config: ConvertConfig) -> None:
    """Convert, and print one line that says what was written.

    Errors: `ConvertError`, `CheckpointError`, `ConfigError` or `DataError`, one sentence each; the output is then absent.
    """
    if is_run(config.source):
        _export(config)
        return
    if config.checkpoint == "best":
        raise ConvertError(f"{config.source} is no run: only a run has a best checkpoint")
    source = read_source(config.source)
    vocabulary = _checked(config.vocabulary or source.vocabulary, source.cased, source.model)
    with atomic_folder(config.output) as partial:
        write_run(partial, source.model.config, source.model.parameters, vocabulary.path, source.cased)
    _report(config.output, "a run with a checkpoint of step 0", source.model, vocabulary)


def read_source(path: Path) -> Source:
    """The network at `path`, whoever wrote it. Errors: as `convert`."""
    if is_run(path):
        trained = read_trained(path)
        return Source(Imported(trained.config, trained.parameters, ()), trained.vocabulary, trained.cased)
    if is_huggingface(path):
        return Source(import_huggingface(path), vocabulary_of(path), read_cased(path))
    if path.suffix == ENDING:
        return Source(import_mindspore(path), vocabulary_of(path), None)
    if path.is_dir() or Path(f"{path}.index").is_file():
        return Source(import_tensorflow(path), vocabulary_of(path), None)
    raise ConvertError(
        f"{path} is neither a run, a Hugging Face folder, a .ckpt file nor the prefix of a TensorFlow checkpoint: give one of these"
    )


def _export(config: ConvertConfig) -> None:
    """Write the run or checkpoint as a folder that others load, with its tokenizer."""
    source = read_source(_chosen(config))
    words = _checked(config.vocabulary or source.vocabulary, source.cased, source.model)
    with atomic_folder(config.output) as partial:
        if config.form == "mindir":
            from bert_thor.convert.mindir import write_mindir

            write_mindir(partial, source.model.config, source.model.parameters)
        else:
            write_huggingface(partial, source.model.config, source.model.parameters, config.architecture)
        if words.path is not None and words.pieces is not None:
            shutil.copyfile(words.path, partial / VOCABULARY)
            write_tokenizer(partial, words.pieces, source.model.config.max_position)
    kind = "MindIR" if config.form == "mindir" else f"a Hugging Face {config.architecture}"
    _report(config.output, kind, source.model, words)


def _chosen(config: ConvertConfig) -> Path:
    """The run, or one of its checkpoints."""
    if config.checkpoint == "newest":
        return config.source
    if run_folder_of(config.source) != config.source:
        raise ConvertError(f"{config.source} is one checkpoint: give its run to have the best one chosen")
    return best_checkpoint(RunFolder(config.source))


class _Words(NamedTuple):
    """A vocabulary and where it lies; None, None: there is none."""

    path: Optional[Path]
    pieces: Optional[Vocabulary]


def _checked(path: Optional[Path], cased: Optional[bool], model: Imported) -> _Words:
    if path is None:
        return _Words(None, None)
    vocabulary, rows = read_vocabulary(path), model.config.vocab_size
    if not fits_table(len(vocabulary), rows):
        raise ConvertError(
            f"{path} has {len(vocabulary)} word pieces, the network has {rows}: "
            "give the vocabulary that it was trained with as --vocabulary"
        )
    return _Words(path, Vocabulary(vocabulary.pieces, vocabulary.has_capitals if cased is None else cased))


def _report(output: Path, kind: str, model: Imported, vocabulary: _Words) -> None:
    count = sum(value.size for value in model.parameters.values())
    words = f"vocabulary {vocabulary.path}" if vocabulary.path else "no vocabulary found: add vocab.txt by hand"
    print(f"{output}: {kind}, {count:,} parameters, {words}", flush=True)
    rows = model.config.vocab_size
    if vocabulary.pieces is not None and rows > len(vocabulary.pieces):
        print(
            f"the token table has {rows} rows, {rows - len(vocabulary.pieces)} more than there are word pieces",
            flush=True,
        )
    if model.fresh:
        print(
            f"the checkpoint has no {', no '.join(model.fresh)}: what is missing starts as in a new network", flush=True
        )
