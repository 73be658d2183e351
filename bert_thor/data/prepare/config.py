"""The options of `bert-thor prepare`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Optional

from bert_thor.data.errors import DataError
from bert_thor.data.records.schema import Schema
from bert_thor.data.text.corpus import Source

_SMALLEST_SEQUENCE = 8
_LARGEST_SEQUENCE = 1 << 16


class Share(NamedTuple):
    """One machine's share of the work."""

    number: int  # from 1
    of: int


@dataclass(frozen=True)
class PrepareConfig:
    """What `bert-thor prepare` reads, and how it makes training rows of it; the defaults are MLPerf's where MLPerf has one."""

    output: Path
    """Folder to create; must not exist or be empty. Until it is complete, what is finished lies beside it in .NAME.partial, and the same
    command goes on from there after an interruption."""

    source: tuple[str, ...] = ("docstrings",)
    """Text files or folders of text files in UTF-8, also packed (.gz, .bz2, .zst). Their form is recognised: one sentence per line with a
    blank line between documents (MLPerf's), JSON lines, or WikiExtractor's <doc ...>. Or the word `docstrings`: those of the standard
    library, NumPy, SciPy and MindSpore, about 14 MB of English."""

    prose: bool = False
    """The text files are ordinary text, one document each, with blank lines between paragraphs; cut them into sentences."""

    text_field: str = "text"
    """Field of the objects of JSON lines that holds a document's text; each of its lines is a paragraph, and is cut into sentences."""

    vocab_size: int = 8192
    """Word pieces in the vocabulary that is trained on the text (ignored with a vocabulary file)."""

    vocab_file: Optional[Path] = None
    """Existing vocabulary, one word piece per line, such as BERT's vocab.txt; default: train one."""

    cased: bool = False
    """Keep capitals and accents, for a vocabulary with capitals; default: lower-case the text and drop its accents, as MLPerf."""

    max_seq_length: int = 128
    """Tokens in a row, with [CLS] and two [SEP]."""

    max_predictions_per_seq: Optional[int] = None
    """Most tokens to predict in a row; default: masked_lm_prob x max_seq_length to the nearest multiple of 4, as MLPerf's 20 and 76
    (with pack, to the nearest whole number, so that no slot is empty)."""

    masked_lm_prob: float = 0.15
    """Share of the tokens of a row to predict; of these, 80 % are shown as [MASK], 10 % as a random token, 10 % as they are."""

    whole_word_mask: bool = False
    """Choose whole words to predict, all pieces of each, instead of single pieces."""

    short_seq_prob: float = 0.1
    """Share of the documents that are cut to a random shorter row length (ignored with pack)."""

    pack: bool = False
    """Fill every row: of rows of 128 tokens a fifth is padding otherwise. A row still is one pair of segments; the last row of a document
    begins earlier, and a random next segment is as long as the row has room."""

    dupe_factor: int = 1
    """Passes over the text, each with other sentence pairs and masks (MLPerf: 10)."""

    held_out_fraction: float = 0.05
    """Share of the documents that are kept from training, for evaluation, at least two; 0: none."""

    shards: Optional[int] = None
    """Training files to write: text files are dealt to them in turn, or cut between documents where there are fewer. Default: one per text
    file of 4 to 32 MiB, several for a larger one, one for several smaller ones; 8 for the docstrings."""

    seed: int = 12345
    """Start of all random numbers: the same seed, text and settings give the same bytes. The first training file starts from the seed
    itself, as each of MLPerf's parts does; every other file from a number made of the seed and its own."""

    workers: Optional[int] = None
    """Processes that work at the same time; default: one per CPU. Does not change the result."""

    part: Optional[str] = None
    """I/N: make only share I (from 1) of N, each on a machine of its own, into an output of its own; `bert-thor merge` then makes one
    folder of the N, the same as one machine would have made. Give the same options to all; with a vocabulary file they start sooner."""

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
        _require(1 <= self.share.number <= self.share.of, "part", self.part, "I/N with I from 1 to N, such as 2/4")

    @property
    def schema(self) -> Schema:
        """Sizes of the columns."""
        share = self.masked_lm_prob * self.max_seq_length
        default = max(1, round(share) if self.pack else 4 * round(share / 4))
        return Schema(
            self.max_seq_length, default if self.max_predictions_per_seq is None else self.max_predictions_per_seq
        )

    @property
    def text(self) -> Source:
        """What is read, and how."""
        return Source(self.source, self.shards, self.prose, self.text_field)

    @property
    def share(self) -> Share:
        """This machine's share; number 0 if `part` is not of its form."""
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", self.part or "1/1")
        return Share(int(found[1]), int(found[2])) if found else Share(0, 0)


def _require(condition: bool, name: str, value: object, range_: str) -> None:
    if not condition:
        raise DataError(f"{name} is {value}, expected {range_}.")
