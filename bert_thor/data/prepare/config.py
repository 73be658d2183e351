"""The options of `bert-thor prepare`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from bert_thor.data.errors import DataError
from bert_thor.data.records.schema import Schema

_SMALLEST_SEQUENCE = 8
_LARGEST_SEQUENCE = 1 << 16


@dataclass(frozen=True)
class PrepareConfig:
    """What `bert-thor prepare` reads, and how it makes training rows of it; the defaults are MLPerf's where MLPerf has one."""

    output: Path
    """Folder to create; must not exist or be empty."""

    source: tuple[str, ...] = ("docstrings",)
    """Text files or folders of text files, UTF-8 with one sentence per line and a blank line between documents.
    Or the word `docstrings`: those of the standard library, NumPy, SciPy and MindSpore, about 14 MB of English."""

    prose: bool = False
    """The text files are ordinary text, one document each, with blank lines between paragraphs; cut them into sentences."""

    vocab_size: int = 8192
    """Word pieces in the vocabulary that is trained on the text (ignored with a vocabulary file)."""

    vocab_file: Optional[Path] = None
    """Existing vocabulary, one word piece per line, such as BERT's vocab.txt; default: train one."""

    max_seq_length: int = 128
    """Tokens in a row, with [CLS] and two [SEP]."""

    max_predictions_per_seq: Optional[int] = None
    """Most tokens to predict in a row; default: masked_lm_prob x max_seq_length to the nearest multiple of 4, as MLPerf's 20 and 76."""

    masked_lm_prob: float = 0.15
    """Share of the tokens of a row to predict; of these, 80 % are shown as [MASK], 10 % as a random token, 10 % as they are."""

    short_seq_prob: float = 0.1
    """Share of the documents that are cut to a random shorter row length."""

    dupe_factor: int = 1
    """Passes over the text, each with other sentence pairs and masks (MLPerf: 10)."""

    held_out_fraction: float = 0.05
    """Share of the documents that are kept from training, for evaluation; 0: none."""

    shards: Optional[int] = None
    """Training files to write; text files are dealt to them in turn. Default: one per text file, 8 for the docstrings."""

    seed: int = 12345
    """Start of all random numbers: the same seed, text and settings give the same bytes."""

    workers: Optional[int] = None
    """Processes that work at the same time; default: one per CPU. Does not change the result."""

    def __post_init__(self) -> None:
        _require(
            _SMALLEST_SEQUENCE <= self.max_seq_length <= _LARGEST_SEQUENCE,
            "max_seq_length",
            self.max_seq_length,
            f"{_SMALLEST_SEQUENCE} to {_LARGEST_SEQUENCE}",
        )
        _require(0 < self.masked_lm_prob <= 1, "masked_lm_prob", self.masked_lm_prob, "more than 0 and at most 1")
        _require(0 <= self.short_seq_prob <= 1, "short_seq_prob", self.short_seq_prob, "0 to 1")
        _require(
            0 <= self.held_out_fraction < 1, "held_out_fraction", self.held_out_fraction, "at least 0 and less than 1"
        )
        _require(self.dupe_factor >= 1, "dupe_factor", self.dupe_factor, "at least 1")
        _require(self.vocab_size >= 64, "vocab_size", self.vocab_size, "at least 64")
        _require(self.shards is None or self.shards >= 1, "shards", self.shards, "at least 1")
        _require(self.workers is None or self.workers >= 1, "workers", self.workers, "at least 1")
        _require(
            1 <= self.schema.max_predictions_per_seq <= self.max_seq_length - 3,
            "max_predictions_per_seq",
            self.max_predictions_per_seq,
            f"1 to {self.max_seq_length - 3}",
        )

    @property
    def schema(self) -> Schema:
        """Sizes of the columns."""
        default = max(1, 4 * round(self.masked_lm_prob * self.max_seq_length / 4))
        return Schema(
            self.max_seq_length, default if self.max_predictions_per_seq is None else self.max_predictions_per_seq
        )


def _require(condition: bool, name: str, value: object, range_: str) -> None:
    if not condition:
        raise DataError(f"{name} is {value}, expected {range_}.")
