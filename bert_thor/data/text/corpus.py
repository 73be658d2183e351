"""Where the text comes from: files of sentences, cut into parts.

Text files have the form of BERT's and MLPerf's inputs: UTF-8, one sentence per line, a blank line between documents.
`prose` reads ordinary text instead: one file is one document, blank lines separate paragraphs, which are cut into
sentences.

A part is one or more files that are turned into instances together, independently of other parts (a random next
sentence comes from the same part), and become one TFRecord file; with one text file per part this is exactly how
MLPerf prepares its 500 parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from bert_thor.data.errors import DataError
from bert_thor.data.text.docstrings import docstring_documents
from bert_thor.data.text.sentences import Document, split_sentences

DOCSTRINGS = "docstrings"
_DOCSTRING_PARTS = 8


@dataclass(frozen=True)
class Part:
    """Files that are prepared together.

    Attributes:
        files: text files, in order.
        prose: how to read them.
    """

    files: tuple[Path, ...]
    prose: bool = False

    def documents(self) -> Iterator[Document]:
        """The documents of all files, each a non-empty list of sentences (lines without white space at the ends)."""
        for path in self.files:
            yield from _prose_document(path) if self.prose else _sentence_documents(path)


def _lines(path: Path) -> Iterator[str]:
    """Lines end at \\n only, as in MLPerf's script: other separators belong to the text."""
    try:
        with open(path, encoding="utf-8", newline="\n") as file:
            yield from file
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: this is not UTF-8 text (byte {error.start} of a block).") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}.") from None


def _sentence_documents(path: Path) -> Iterator[Document]:
    document: Document = []
    for line in _lines(path):
        sentence = line.strip()
        if sentence:
            document.append(sentence)
        elif document:
            yield document
            document = []
    if document:
        yield document


def _prose_document(path: Path) -> Iterator[Document]:
    paragraphs = re.split(r"\n\s*\n", "".join(_lines(path)))
    document = [sentence for paragraph in paragraphs for sentence in split_sentences(paragraph)]
    if document:
        yield document


def text_parts(source: Sequence[str], shards: Optional[int], prose: bool, scratch: Path, pool: Executor) -> list[Part]:
    """The parts of a source: text files dealt to `shards` parts in turn (None: one part per file, 8 for the docstrings).

    The docstrings are first written to text files in `scratch`.
    """
    if list(source) == [DOCSTRINGS]:
        return write_parts(docstring_documents(pool), shards or _DOCSTRING_PARTS, scratch)
    files = text_files(source)
    count = len(files) if shards is None else shards
    if count > len(files):
        raise DataError(
            f"{count} shards need at least as many text files, found {len(files)}; set shards to {len(files)} or less."
        )
    return [Part(tuple(files[first::count]), prose) for first in range(count)]


def write_parts(documents: Iterable[Document], shards: int, folder: Path) -> list[Part]:
    """Deal documents to `shards` new text files in turn."""
    files = [folder / f"part-{number:05d}.txt" for number in range(shards)]
    with ExitStack() as stack:
        outputs = [
            stack.enter_context(open(path, "x", encoding="utf-8", errors="replace", newline="\n")) for path in files
        ]
        for number, document in enumerate(documents):
            outputs[number % shards].write("\n".join(document) + "\n\n")
    return [Part((path,)) for path in files]


def text_files(source: Sequence[str]) -> list[Path]:
    """The files named by `source`: files as given, folders searched for files, sorted by path, hidden ones left out.

    Errors: DataError if a path does not exist, or there is no file at all.
    """
    files: list[Path] = []
    for name in source:
        path = Path(name)
        if path.is_dir():
            inside = (entry for entry in path.rglob("*") if entry.is_file())
            visible = (
                entry for entry in inside if not any(part.startswith(".") for part in entry.relative_to(path).parts)
            )
            files += sorted(visible, key=lambda entry: entry.relative_to(path).parts)
        elif path.exists():
            files.append(path)
        else:
            raise DataError(
                f"the source {name!r} does not exist; give text files, folders of text files, or `{DOCSTRINGS}`."
            )
    if not files:
        raise DataError(f"there is no text file in {', '.join(source)}.")
    return files
