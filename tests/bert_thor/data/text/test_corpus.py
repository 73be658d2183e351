"""How the text of a source is divided into parts."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from bert_thor.data.errors import DataError
from bert_thor.data.text import corpus
from bert_thor.data.text.corpus import Part, Source


@pytest.fixture
def pool() -> Iterator[Executor]:
    with ThreadPoolExecutor() as executor:
        yield executor


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes in the place of MiB."""
    for name in ("_SMALL", "_LARGE", "_PIECE"):
        monkeypatch.setattr(corpus, name, getattr(corpus, name) >> 20)


def write_files(folder: Path, *texts: str) -> list[Path]:
    for number, text in enumerate(texts):
        (folder / f"{number}.txt").write_text(text)
    return sorted(folder.iterdir())


def names(part: Part) -> list[str]:
    return [extent.file.path.name for extent in part.extents]


def test_documents_do_not_run_across_files(tmp_path: Path, pool: Executor) -> None:
    write_files(tmp_path, "a1\na2", "b1")
    (part,) = Source([str(tmp_path)]).parts(tmp_path, pool)
    assert list(part.documents()) == [["a1", "a2"], ["b1"]]


def test_files_are_dealt_to_shards_in_turn(tmp_path: Path, pool: Executor) -> None:
    write_files(tmp_path, *"xxxxx")
    parts = Source([str(tmp_path)], shards=2).parts(tmp_path, pool)
    assert [names(part) for part in parts] == [["0.txt", "2.txt", "4.txt"], ["1.txt", "3.txt"]]


@pytest.mark.usefixtures("small_limits")
def test_small_files_are_put_together_and_the_rest_joins_the_last_part(tmp_path: Path, pool: Executor) -> None:
    write_files(tmp_path, "a", "bb", "c", "dddd", "eeeee", "f")
    parts = Source([str(tmp_path)]).parts(tmp_path, pool)
    assert [names(part) for part in parts] == [["0.txt", "1.txt", "2.txt"], ["3.txt"], ["4.txt", "5.txt"]]


@pytest.mark.usefixtures("small_limits")
def test_a_large_file_is_cut_between_documents_and_one_of_medium_size_is_not(tmp_path: Path, pool: Executor) -> None:
    documents = [[f"d{number}", "s"] for number in range(20)]
    text = "".join("\n".join(document) + "\n\n" for document in documents)
    write_files(tmp_path, text, text[:30])
    *pieces, medium = Source([str(tmp_path)]).parts(tmp_path, pool)
    assert len(pieces) == -(-len(text) // 16) and names(medium) == ["1.txt"]
    assert [document for piece in pieces for document in piece.documents()] == documents
    assert max(piece.size for piece in pieces) <= 16 + 7


@pytest.mark.parametrize("shards", (3, 4, 7, 10))
def test_more_shards_than_files_cut_the_files(tmp_path: Path, pool: Executor, shards: int) -> None:
    documents = [[f"document {number}"] for number in range(40)]
    texts = ["\n\n".join(document[0] for document in documents[part]) for part in (slice(30), slice(30, None))]
    write_files(tmp_path, *texts)
    parts = Source([str(tmp_path)], shards=shards).parts(tmp_path, pool)
    assert len(parts) == shards
    assert [document for part in parts for document in part.documents()] == documents
    sizes = [part.size for part in parts]
    assert max(sizes) <= 2 * min(sizes) + 20


def test_too_many_shards_are_refused(tmp_path: Path, pool: Executor) -> None:
    write_files(tmp_path, "a\n\nb\n\nc\n")
    with pytest.raises(DataError, match="cannot be cut into 6 shards between its documents; set shards to 3 or less"):
        Source([str(tmp_path)], shards=6).parts(tmp_path, pool)


def test_prose_is_not_cut(tmp_path: Path, pool: Executor) -> None:
    write_files(tmp_path, "One paragraph.\n\nAnother one.\n" * 10)
    with pytest.raises(DataError, match="set shards to 1 or less"):
        Source([str(tmp_path)], shards=2, prose=True).parts(tmp_path, pool)
