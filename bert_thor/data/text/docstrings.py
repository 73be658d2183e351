"""The built-in corpus: the docstrings of the standard library, NumPy, SciPy and MindSpore (about 14 MB of English, no
download).

These four are in every installation of BERT-THOR, so that a test tool or another package does not change the corpus;
it does change with their versions, and the manifest of a data folder records a checksum of the text. One source file
makes one document, its docstrings in source order. Test folders are left out: they hold little English. No paragraph
of 64 characters or more occurs twice in the corpus, so none that is held out can be seen in training.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from pathlib import Path

from bert_thor.data.text.sentences import Document, split_sentences

DOCSTRINGS = "docstrings"
"""What a source is called that is this corpus."""

PACKAGES = ("numpy", "scipy", "mindspore")
_SKIPPED_FOLDERS = frozenset(("site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"))
_FILES_PER_TASK = 32
_DISTINCT_CHARACTERS = 64  # shorter paragraphs, such as headings, may be repeated


def docstring_documents(pool: Executor) -> Iterator[Document]:
    """The documents of the corpus as lists of sentences, in the order of the file names."""
    seen: set[str] = set()
    for docstrings in pool.map(_file_docstrings, _source_files(), chunksize=_FILES_PER_TASK):
        sentences = [
            sentence for paragraph in _new_paragraphs(docstrings, seen) for sentence in split_sentences(paragraph)
        ]
        if sentences:
            yield sentences


def _source_files() -> list[Path]:
    """All Python files, sorted by package and by path inside it: independent of where they are installed."""
    files = _python_files(Path(sysconfig.get_paths()["stdlib"]))
    for package in PACKAGES:
        found = importlib.util.find_spec(package)
        if found is not None and found.submodule_search_locations:
            files += _python_files(Path(found.submodule_search_locations[0]))
    return files


def _python_files(folder: Path) -> list[Path]:
    files = [path.relative_to(folder) for path in folder.rglob("*.py")]
    kept = (path for path in files if _SKIPPED_FOLDERS.isdisjoint(path.parts[:-1]))
    return [folder / path for path in sorted(kept, key=lambda path: path.parts)]


def _file_docstrings(path: Path) -> list[str]:
    """The docstrings of a source file; none if it cannot be read or parsed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in other people's files
        try:
            tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            return []
    return list(_node_docstrings(tree))


def _node_docstrings(node: ast.AST) -> Iterator[str]:
    """Docstrings of `node` and of the definitions inside it; visits statements only, never expressions."""
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        docstring = ast.get_docstring(node)
        if docstring:
            yield docstring
    for block in ("body", "handlers", "orelse", "finalbody"):
        children = getattr(node, block, ())
        for child in children if isinstance(children, list) else ():
            yield from _node_docstrings(child)


def _new_paragraphs(docstrings: Iterable[str], seen: set[str]) -> Iterator[str]:
    """Paragraphs not met before; a whole docstring met before is dropped with its headings."""
    for docstring in docstrings:
        if docstring in seen:
            continue
        seen.add(docstring)
        for paragraph in re.split(r"\n\s*\n", docstring):
            text = " ".join(paragraph.split())
            if len(text) < _DISTINCT_CHARACTERS or text not in seen:
                seen.add(text)
                yield paragraph
