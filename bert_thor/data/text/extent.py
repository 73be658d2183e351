"""A run of whole documents in a text file: read in blocks, so that memory holds one document, whatever the file's size."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Callable

from bert_thor.data.errors import DataError
from bert_thor.data.text.files import TextFile
from bert_thor.data.text.sentences import LONGEST_SENTENCE, Document, cut_line, paragraph_sentences

LONGEST_DOCUMENT = 1 << 26
"""Bytes; a longer document is refused, because a worker holds two at least."""

_BLOCK = 1 << 20
_LONGEST_END = 1 << 12  # bytes that tell where a document ends
_DOCUMENT_START = re.compile(r"<doc\b[^>]*>")
_TITLE = re.compile(r'\btitle="([^"]*)"')
# Where a document ends, and with it a place where a file can be cut.
_ENDS = {
    "sentences": re.compile(rb"\n[ \t\r]*\n"),
    "json": re.compile(rb"\n"),
    "wikiextractor": re.compile(rb"\n</doc>[^\n]*\n"),
}


@dataclass(frozen=True)
class LongLine:
    """A line of a file of sentences that is too long to be one."""

    extent: Extent
    offset: int  # of the block that holds it
    place: int  # lines of the block before it
    length: int  # characters

    def __str__(self) -> str:
        """A warning with the line's number, for which the file is read up to the line."""
        return (
            f"{self.extent.file.name}: line {self.extent.line(self.offset) + self.place} has {self.length} characters; it was cut "
            "into sentences, but the file should have one on each line (ordinary text: set prose)."
        )


@dataclass(frozen=True)
class Extent:
    """The bytes from `start` to `stop` of a file."""

    file: TextFile
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.stop - self.start

    def documents(self, note: Callable[[LongLine], None] = lambda line: None) -> Iterator[Document]:
        """The documents, each a non-empty list of sentences without white space at the ends.

        Errors: DataError naming file and line for a byte that is not UTF-8, text that is not of the file's form, and a
        document that is too long.
        """
        if self.file.form == "prose":
            return self._prose()
        if self.file.form == "json":
            return self._json()
        return self._sentences(note) if self.file.form == "sentences" else self._wikiextractor()

    def cut(self, pieces: int) -> list[Extent]:
        """About `pieces` extents of about equal size, cut between documents; fewer where documents are too long, one for prose."""
        end = _ENDS.get(self.file.form)
        if end is None:
            return [self]
        places = [self.start]
        for number in range(1, pieces):
            place = self.start + self.size * number // pieces
            if place > places[-1]:
                places.append(self._end_of_document(place, end))
        places.append(self.stop)
        return [Extent(self.file, start, stop) for start, stop in zip(places, places[1:]) if start < stop]

    def _end_of_document(self, place: int, end: re.Pattern[bytes]) -> int:
        """The first place from `place` on where a document ends."""
        with open(self.file.path, "rb") as file:
            file.seek(place)
            kept = b""
            while place < self.stop and (block := file.read(_BLOCK)):
                found = end.search(kept + block)
                if found:
                    return min(self.stop, place - len(kept) + found.end())
                place += len(block)
                kept = (kept + block)[-_LONGEST_END:]
        return self.stop

    def _sentences(self, note: Callable[[LongLine], None]) -> Iterator[Document]:
        document: Document = []
        begun = self.start
        for offset, lines in self._blocks():
            if document:
                self._check_length(begun, offset)
            for number, line in enumerate(lines):
                sentence = line.strip()
                if not sentence:
                    if document:
                        yield document
                        document = []
                    continue
                if not document:
                    begun = offset
                if len(sentence) > LONGEST_SENTENCE:
                    note(LongLine(self, offset, number, len(sentence)))
                    document += cut_line(sentence)
                else:
                    document.append(sentence)
        if document:
            yield document

    def _prose(self) -> Iterator[Document]:
        self._check_length(self.start, self.stop)
        text = "\n".join(line for _, lines in self._blocks() for line in lines)
        document = [sentence for paragraph in re.split(r"\n\s*\n", text) for sentence in paragraph_sentences(paragraph)]
        if document:
            yield document

    def _json(self) -> Iterator[Document]:
        field = self.file.text_field
        for line, text in self._numbered_lines():
            if not text.strip():
                continue
            try:
                record = json.loads(text)
            except (ValueError, RecursionError):
                raise DataError(
                    f"{self.file.name}: line {line()} is not a JSON object; every line must be one."
                ) from None
            if not isinstance(record, dict) or not isinstance(record.get(field), str):
                has = f"the fields {', '.join(map(str, record))}" if isinstance(record, dict) else "no fields"
                raise DataError(
                    f"{self.file.name}: line {line()} has no text in the field {field!r} but {has}; set text_field."
                )
            document = _paragraphs(record[field].split("\n"))
            if document:
                yield document

    def _wikiextractor(self) -> Iterator[Document]:
        """An article's lines are its paragraphs; the title, its first line, is left out."""
        paragraphs: list[str] = []
        title = None
        for line, text in self._numbered_lines():
            if found := _DOCUMENT_START.match(text):
                named = _TITLE.search(found[0])
                title, paragraphs = html.unescape(named[1]) if named else "", []
            elif text.startswith("</doc>"):
                document = _paragraphs(html.unescape(paragraph) for paragraph in paragraphs)
                if document[:1] == [title]:
                    del document[0]
                if document:
                    yield document
                title, paragraphs = None, []
            elif title is not None:
                paragraphs.append(text)
            elif text.strip():
                raise DataError(f"{self.file.name}: line {line()} stands outside <doc ...> and </doc>.")
        if title is not None:
            raise DataError(f"{self.file.name}: it ends inside <doc ...>; the file is incomplete.")

    def _numbered_lines(self) -> Iterator[tuple[Callable[[], int], str]]:
        """Every line, and a function that counts its number in the file."""
        for offset, lines in self._blocks():
            for number, line in enumerate(lines):
                yield partial(self._line_after, offset, number), line

    def _blocks(self) -> Iterator[tuple[int, list[str]]]:
        """About a MiB of lines at a time, and the byte offset at which they begin.

        Lines end at \\n only, as in MLPerf's script: other separators belong to the text.
        """
        try:
            with open(self.file.path, "rb") as file:
                offset = file.seek(self.start)
                while offset < self.stop:
                    block = file.read(min(_BLOCK, self.stop - offset))
                    if not block.endswith(b"\n"):
                        block += file.readline(min(LONGEST_DOCUMENT, self.stop - offset - len(block)))
                    self._check_length(offset, offset + len(block))
                    if not block:
                        raise DataError(f"{self.file.name}: the file became shorter while it was read.")
                    yield offset, self._decode(block.removesuffix(b"\n"), offset).split("\n")
                    offset += len(block)
        except OSError as error:
            raise DataError(f"cannot read {self.file.name}: {error.strerror}.") from None

    def _decode(self, block: bytes, offset: int) -> str:
        try:
            text = block.decode("utf-8")
        except UnicodeDecodeError as error:
            line = self.line(offset) + block.count(b"\n", 0, error.start)
            raise DataError(
                f"{self.file.name}: line {line} is not UTF-8 text: byte 0x{block[error.start]:02x} at offset "
                f"{offset + error.start}; convert the file, or remove the byte."
            ) from None
        return text if offset else text.removeprefix("\ufeff")  # a byte order mark

    def _check_length(self, begun: int, offset: int) -> None:
        if offset - begun >= LONGEST_DOCUMENT:
            raise DataError(
                f"{self.file.name}: the document around line {self.line(begun)} is longer than {LONGEST_DOCUMENT >> 20} MiB; "
                "put a blank line between documents, or cut a file of prose into several."
            )

    def line(self, offset: int) -> int:
        """Number (from 1) of the line that begins at a byte offset; reads the file up to there."""
        count = 1
        with open(self.file.path, "rb") as file:
            while offset > 0 and (block := file.read(min(_BLOCK, offset))):
                count += block.count(b"\n")
                offset -= len(block)
        return count

    def _line_after(self, offset: int, number: int) -> int:
        return self.line(offset) + number


def _paragraphs(lines: Iterator[str] | list[str]) -> Document:
    """Lines that hold a paragraph each, cut into sentences."""
    return [sentence for line in lines if line.strip() for sentence in paragraph_sentences(line)]
