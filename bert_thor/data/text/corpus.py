"""The text of a source, divided into parts.

A part is one or more runs of documents that are turned into instances together, independently of other parts (a random
next sentence comes from the same part), and become one TFRecord file. A text file of the size of MLPerf's 500 is a part
of its own, prepared as MLPerf prepares it; a larger one is cut between documents, smaller ones are put together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from heapq import heapify, heapreplace
from pathlib import Path
from typing import Callable, Optional

from bert_thor.data.errors import DataError
from bert_thor.data.text.docstrings import DOCSTRINGS, docstring_documents
from bert_thor.data.text.extent import Extent, LongLine
from bert_thor.data.text.files import Opener, TextFile, text_files
from bert_thor.data.text.sentences import Document

_DOCSTRING_PARTS = 8
_SMALL = 4 << 20  # bytes; smaller files are put together until they are as large
_LARGE = 32 << 20  # bytes; larger files are cut ...
_PIECE = 16 << 20  # ... into pieces of about this size


@dataclass(frozen=True)
class Part:
    """Runs of documents that are prepared together, in order."""

    extents: tuple[Extent, ...]

    @property
    def size(self) -> int:
        """Bytes of text."""
        return sum(extent.size for extent in self.extents)

    def documents(self, note: Callable[[LongLine], None] = lambda line: None) -> Iterator[Document]:
        """All documents, each a non-empty list of sentences (lines without white space at the ends)."""
        for extent in self.extents:
            yield from extent.documents(note)


@dataclass(frozen=True)
class Source:
    """What is read, and how.

    Attributes:
        names: text files, folders of text files, or the one word `docstrings`.
        shards: how many parts; None: as many as the sizes of the files suggest, 8 for the docstrings.
        prose: text files are ordinary text, a document each.
        text_field: of a JSON object, what holds the text.
    """

    names: Sequence[str]
    shards: Optional[int] = None
    prose: bool = False
    text_field: str = "text"

    @property
    def has_fixed_parts(self) -> bool:
        """Whether the number of parts is a matter of choice, not of sizes."""
        return self.shards is not None or list(self.names) == [DOCSTRINGS]

    def parts(self, scratch: Path, pool: Executor) -> list[Part]:
        """The parts; packed files and docstrings are first written to text files in the folder `scratch`.

        Errors: DataError for files that are missing, unreadable or no text, and for more shards than documents allow.
        """
        if list(self.names) == [DOCSTRINGS]:
            return _write_parts(docstring_documents(pool), self.shards or _DOCSTRING_PARTS, scratch)
        files = list(pool.map(Opener(scratch, self.prose, self.text_field), text_files(self.names)))
        whole = [Extent(file, 0, file.size) for file in files]
        if self.shards is None:
            return _parts_by_size(whole)
        if self.shards <= len(whole):
            return [Part(tuple(whole[first :: self.shards])) for first in range(self.shards)]
        return _cut_evenly(whole, self.shards)


def _parts_by_size(files: list[Extent]) -> list[Part]:
    """Large files cut, small ones put together; what is left over at the end joins the part before."""
    parts: list[list[Extent]] = [[]]
    size = 0  # of the last part
    for file in files:
        for piece in file.cut(-(-file.size // _PIECE)) if file.size > _LARGE else [file]:
            if size >= _SMALL:
                parts.append([])
                size = 0
            parts[-1].append(piece)
            size += piece.size
    if len(parts) > 1 and size < _SMALL:
        parts[-2:] = [parts[-2] + parts[-1]]
    return [Part(tuple(extents)) for extents in parts]


def _cut_evenly(files: list[Extent], shards: int) -> list[Part]:
    """Exactly `shards` parts of about equal size, each of one file; every file gets one piece at least."""
    counts = [1] * len(files)
    largest = [(-file.size, number) for number, file in enumerate(files)]  # bytes of a piece
    heapify(largest)
    for _ in range(shards - len(files)):
        number = largest[0][1]
        counts[number] += 1
        heapreplace(largest, (-files[number].size // counts[number], number))
    parts = [Part((piece,)) for file, count in zip(files, counts) for piece in file.cut(count)]
    if len(parts) < shards:
        raise DataError(
            f"the text cannot be cut into {shards} shards between its documents; set shards to {len(parts)} or less."
        )
    return parts


def _write_parts(documents: Iterable[Document], shards: int, folder: Path) -> list[Part]:
    """Deal documents to `shards` new text files in turn."""
    paths = [folder / f"part-{number:05d}.txt" for number in range(shards)]
    with ExitStack() as stack:
        outputs = [
            stack.enter_context(open(path, "w", encoding="utf-8", errors="replace", newline="\n")) for path in paths
        ]
        for number, document in enumerate(documents):
            outputs[number % shards].write("\n".join(document) + "\n\n")
    sizes = [path.stat().st_size for path in paths]
    files = [TextFile(path, str(path), "sentences", "text", size) for path, size in zip(paths, sizes)]
    return [Part((Extent(file, 0, file.size),)) for file in files]
