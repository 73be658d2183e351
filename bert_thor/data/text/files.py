"""The text files of a source: found, unpacked, and told apart by their form."""

from __future__ import annotations

import bz2
import codecs
import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from bert_thor.data.errors import DataError
from bert_thor.data.text.docstrings import DOCSTRINGS

Form = Literal["sentences", "prose", "json", "wikiextractor"]
"""sentences: one per line, a blank line between documents. prose: a file is a document, blank lines between paragraphs. json: an object
per line, its text a document. wikiextractor: documents between <doc ...> and </doc>."""

PACKED = (".gz", ".bz2", ".zst")
_CHECKSUMS = (".md5", ".sha1", ".sha256", ".sha512")
_JSON_LINES = (".jsonl", ".ndjson", ".json")
_FIRST_BYTES = 1 << 16
_BLOCK = 1 << 20


@dataclass(frozen=True)
class TextFile:
    """A text file that can be read from any place.

    Attributes:
        path: where it lies; the unpacked copy of a packed one.
        name: what messages call it: the file that the user gave.
        form: how its documents are told apart.
        text_field: of a JSON object, what holds the text.
        size: bytes.
    """

    path: Path
    name: str
    form: Form
    text_field: str
    size: int


def text_files(source: Sequence[str]) -> list[Path]:
    """The files named by `source`: files as given, folders searched for files, sorted by path, hidden ones and checksums left out.

    Errors: DataError if a path does not exist, or there is no file at all.
    """
    files: list[Path] = []
    for name in source:
        path = Path(name)
        if path.is_dir():
            inside = (entry for entry in path.rglob("*") if entry.is_file())
            texts = (entry for entry in inside if _may_be_text(entry.relative_to(path)))
            files += sorted(texts, key=lambda entry: entry.relative_to(path).parts)
        elif path.exists():
            files.append(path)
        else:
            raise DataError(
                f"the source {name!r} does not exist; give text files, folders of text files, or `{DOCSTRINGS}`."
            )
    if not files:
        raise DataError(f"there is no text file in {', '.join(source)}.")
    return files


def _may_be_text(path: Path) -> bool:
    """Whether a file that was found in a folder is neither hidden nor beside another as its checksum, as in MLPerf's folders."""
    return path.suffix.lower() not in _CHECKSUMS and not any(part.startswith(".") for part in path.parts)


@dataclass(frozen=True)
class Opener:
    """Makes a TextFile of a path; a packed file (.gz, .bz2, .zst) is unpacked into `folder`, once."""

    folder: Path
    prose: bool
    text_field: str

    def __call__(self, path: Path) -> TextFile:
        """Unpack if necessary, and look at the first bytes. Errors: DataError for what cannot be read or is no text."""
        try:
            plain = self._unpacked(path) if path.suffix in PACKED else path
            name = path.with_suffix("").name if path.suffix in PACKED else path.name
            with open(plain, "rb") as file:
                form = _form(file.read(_FIRST_BYTES).removeprefix(codecs.BOM_UTF8).lstrip(), name, self.prose, path)
                size = file.seek(0, os.SEEK_END)
        except OSError as error:
            if error.filename is not None and Path(error.filename) == path:
                raise DataError(f"cannot read {path}: {error.strerror or error}.") from None
            raise
        return TextFile(plain, str(path), form, self.text_field, size)

    def _unpacked(self, path: Path) -> Path:
        status = path.stat()
        key = f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
        target = self.folder / hashlib.sha256(key.encode()).hexdigest()[:32]
        if not target.exists():
            partial = self.folder / f"{target.name}.partial"
            with open(path, "rb") as source, open(partial, "wb") as output:
                try:
                    for block in _blocks(source, path.suffix):
                        output.write(block)
                except (EOFError, zlib.error, ValueError) as error:
                    raise DataError(f"{path}: this {path.suffix} file is damaged or incomplete: {error}.") from None
            os.replace(partial, target)
        return target


def _blocks(file: BinaryIO, suffix: str) -> Iterator[bytes]:
    """The unpacked content. Errors: EOFError, ValueError or zlib.error for a damaged file."""
    if suffix == ".zst":
        yield from _zstandard_blocks(file)
        return
    unpack = gzip.GzipFile(fileobj=file) if suffix == ".gz" else bz2.BZ2File(file)
    try:
        while block := unpack.read(_BLOCK):
            yield block
    except OSError as error:
        raise ValueError(str(error)) if error.errno is None else error from None


def _zstandard_blocks(file: BinaryIO) -> Iterator[bytes]:
    """Frame by frame, because a stream reader takes a file that is cut off for one that ends."""
    import zstandard

    frame = None
    while block := file.read(_BLOCK):
        while block:
            if frame is None or frame.eof:
                frame = zstandard.ZstdDecompressor().decompressobj()
            try:
                yield frame.decompress(block)
            except zstandard.ZstdError as error:
                raise ValueError(str(error)) from None
            block = frame.unused_data
    if frame is not None and not frame.eof:
        raise EOFError("it ends inside a frame")


def _form(first: bytes, name: str, prose: bool, path: Path) -> Form:
    """How a file with these first bytes (white space skipped) and this name is read."""
    if first.startswith(b"<mediawiki"):
        raise DataError(f"{path}: this is a dump in Wikipedia's XML; run WikiExtractor on it and give its output.")
    if first.startswith(b"<doc "):
        return "wikiextractor"
    if Path(name).suffix in _JSON_LINES or _is_json(first):
        return "json"
    return "prose" if prose else "sentences"


def _is_json(first: bytes) -> bool:
    """Whether the first line is a JSON object."""
    line, end, _ = first.partition(b"\n")
    if not line.startswith(b'{"'):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return not end  # an object that is longer than the bytes that were read
