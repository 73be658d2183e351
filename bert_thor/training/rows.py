"""The rows of a data folder, checked against the network that will read them, and those that a run is evaluated on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Optional

from bert_thor.data.batches.rows import Rows
from bert_thor.data.records.folder import DataFolder, open_folder
from bert_thor.data.records.manifest import MANIFEST
from bert_thor.errors import ConfigError
from bert_thor.network.sizes import BertConfig
from bert_thor.training.run_data import RunData, check_same_vocabulary, data_digest, vocabulary_of

HELD_OUT, TRAINED_ON, EVALUATION_DATA = "held-out", "trained-on", "evaluation-data"
"""What rows are to a run: kept out of its training, part of it, or other data, of which more is not known."""


class EvaluationRows(NamedTuple):
    """Rows that a run is evaluated on, and what they are to it."""

    rows: Rows
    name: str
    """`HELD_OUT`, `TRAINED_ON`, `EVALUATION_DATA`, or how MLPerf calls them."""

    def facts(self) -> dict[str, Any]:
        """What a report says of them."""
        folder = self.rows.folder
        return {
            "rows": self.name,
            "row_count": len(self.rows),
            "data": str(folder.path.absolute()),
            "data_sha256": data_digest(folder),
        }


def open_evaluation_rows(
    data: Path,
    eval_data: Optional[Path],
    model: BertConfig,
    run: RunData,
    first: Optional[int] = None,
    schema: Optional[Path] = None,
) -> EvaluationRows:
    """The rows of `eval_data` (the held-out ones, where it has them apart), by default the held-out rows of `data`.

    Of these the `first`; `schema` is that of `data`. What they are called depends on what `run` was trained on.
    """
    if eval_data is None:
        rows = open_rows(data, "held_out", model, schema, first)
    else:
        apart = (eval_data / "held_out").is_dir() or not (eval_data / MANIFEST).is_file()
        rows = open_rows(eval_data, "held_out" if apart else "train", model, first=first)
    return EvaluationRows(rows, _name(rows.folder, run))


def sizes_beside_data(model: BertConfig, folder: DataFolder) -> str:
    """A line for the start of a run: the network's two sizes that its data has a say in, and what the data has where that differs."""
    pieces = folder.manifest.vocab_size if folder.manifest is not None else None
    longest = folder.schema.max_seq_length
    return (
        f"vocabulary of {model.vocab_size}{_beside(model.vocab_size, pieces)}, "
        f"sequences of at most {model.max_position} tokens{_beside(model.max_position, longest)}"
    )


def _beside(size: int, of_the_data: Optional[int]) -> str:
    if of_the_data is None:
        return ""
    return " (the data's)" if size == of_the_data else f" (the data: {of_the_data})"


def check_vocabulary(data: Path, vocabulary: Optional[Path]) -> None:
    """`ConfigError` when the rows of `data` were made with another vocabulary than `vocabulary`, as far as both are known."""
    check_same_vocabulary(vocabulary_of(data), vocabulary)


def _name(folder: DataFolder, run: RunData) -> str:
    """Rows are held out when the data says so and the run has seen no other; files that training reads are never that."""
    digest = data_digest(folder)
    if run.data_sha256 is None:
        return HELD_OUT if folder.is_held_out else EVALUATION_DATA
    if digest == run.data_sha256 or digest in run.earlier_sha256:
        if not folder.is_held_out:
            return TRAINED_ON
        return HELD_OUT if digest == run.data_sha256 and not run.earlier_sha256 else EVALUATION_DATA
    return TRAINED_ON if _lies_in(folder, run) else EVALUATION_DATA


def _lies_in(folder: DataFolder, run: RunData) -> bool:
    """Whether a file of these rows is one that the run was trained on: data without a manifest may be named file by file."""
    if run.data is None:
        return False
    trained = Path(run.data).resolve()
    training = trained / "train" if (trained / "train").is_dir() else trained
    return any(training in (file.resolve(), *file.resolve().parents) for file in folder.files)


def open_rows(
    data: Path,
    split: str,
    model: BertConfig,
    schema: Optional[Path] = None,
    first: Optional[int] = None,
    skip_damaged: bool = False,
) -> Rows:
    """The rows of one split ("train" or "held_out"), or the `first` of them; `ConfigError` where the network is too small.

    With `skip_damaged` the next sound row is read in the place of a damaged one; otherwise damage raises `RecordError`.
    """
    folder = open_folder(data, split, schema)
    if folder.schema.max_seq_length > model.max_position:
        raise ConfigError(
            f"{data} has sequences of {folder.schema.max_seq_length} tokens, the position table has {model.max_position} rows: "
            "prepare shorter sequences or raise --max-position"
        )
    return Rows(folder, model.vocab_size, first, skip_damaged)
