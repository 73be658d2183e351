"""What a part holds: its documents counted, divided into training and held-out, and their words; runs in worker processes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from bert_thor.data.text.corpus import Part
from bert_thor.data.text.extent import LongLine
from bert_thor.data.text.sentences import Document
from bert_thor.data.text.vocabulary import count_words
from bert_thor.data.workers import flush_work, report_work

KEPT_LINES = 3
"""Long lines that are shown."""


@dataclass(frozen=True)
class Survey:
    """What is in a part."""

    documents: int
    sha256: bytes  # of the text
    long_lines: list[LongLine]  # the first ones
    long_line_count: int


def survey(part: Part) -> Survey:
    """Count the documents of a part, and read every byte of it."""
    digest, count, long_lines = hashlib.sha256(), 0, list[LongLine]()
    for document in part.documents(long_lines.append):
        text = "\n".join(document).encode() + b"\n\n"
        digest.update(text)
        count += 1
        report_work(len(text))
    flush_work()
    return Survey(count, digest.digest(), long_lines[:KEPT_LINES], len(long_lines))


@dataclass(frozen=True)
class Selection:
    """The documents of a part that are held out, or those that are not."""

    part: Part
    total: int  # documents in the part
    held_out: frozenset[int]  # numbers of the held-out documents in the part
    wanted: bool  # True: the held-out documents; False: the others

    def __len__(self) -> int:
        """Number of selected documents."""
        return len(self.held_out) if self.wanted else self.total - len(self.held_out)

    @property
    def size(self) -> float:
        """Bytes of their text, if all documents are of the same size."""
        return self.part.size * len(self) / max(1, self.total)

    def documents(self) -> Iterator[Document]:
        """The selected documents, in order."""
        return (
            document
            for number, document in enumerate(self.part.documents())
            if (number in self.held_out) == self.wanted
        )


@dataclass(frozen=True)
class WordCounter:
    """Counts words by the basic tokenisation."""

    cased: bool

    def __call__(self, selection: Selection) -> Counter[str]:
        """How often each word occurs in the selected documents."""
        counts = count_words(self._sentences(selection), self.cased)
        flush_work()
        return counts

    def _sentences(self, selection: Selection) -> Iterator[str]:
        share = selection.size / max(1, len(selection))
        for document in selection.documents():
            yield from document
            report_work(share)
