from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bert_thor.data.errors import DataError
from bert_thor.data.text.corpus import Part, text_files, text_parts


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def test_a_line_is_a_sentence_and_a_blank_line_ends_a_document(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "\n\n One. \nTwo.\r\n \t \n\nThree.\rstill three\u2028and on\n\n\n")
    assert list(Part((path,)).documents()) == [["One.", "Two."], ["Three.\rstill three\u2028and on"]]


def test_documents_do_not_run_across_files(tmp_path: Path) -> None:
    files = (write(tmp_path / "a.txt", "a1\na2"), write(tmp_path / "b.txt", "b1"))
    assert list(Part(files).documents()) == [["a1", "a2"], ["b1"]]


def test_prose_is_one_document_per_file_cut_into_sentences(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "It was\nlate. Nobody came!\n\nWhy? (No answer.)\n")
    assert list(Part((path,), prose=True).documents()) == [["It was late.", "Nobody came!", "Why?", "(No answer.)"]]
    assert list(Part((write(tmp_path / "empty.txt", " \n\n"),), prose=True).documents()) == []


def test_files_are_found_in_a_fixed_order(tmp_path: Path) -> None:
    names = ["b.txt", "a/z.txt", "a/b/c.txt", "a.txt"]
    random.Random(1).shuffle(names)
    for name in (*names, ".hidden", ".git/config"):
        write(tmp_path / name, "x")
    found = [path.relative_to(tmp_path).as_posix() for path in text_files([str(tmp_path)])]
    assert found == ["a/b/c.txt", "a/z.txt", "a.txt", "b.txt"]


def test_files_are_dealt_to_parts_in_turn(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{number}.txt", "x") for number in range(5)]
    with ThreadPoolExecutor() as pool:
        parts = text_parts([str(tmp_path)], 2, False, tmp_path, pool)
        assert [part.files for part in parts] == [tuple(files[0::2]), tuple(files[1::2])]
        assert [part.files for part in text_parts([str(tmp_path)], None, False, tmp_path, pool)] == [
            (f,) for f in files
        ]
        with pytest.raises(DataError, match="6 shards need at least as many text files, found 5"):
            text_parts([str(tmp_path)], 6, False, tmp_path, pool)


def test_missing_empty_and_binary_sources_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere' does not exist"):
        text_files([str(tmp_path / "nowhere")])
    with pytest.raises(DataError, match="no text file in"):
        text_files([str(tmp_path)])
    binary = tmp_path / "data.bin"
    binary.write_bytes(b"ok\n\xff\xfe\n")
    with pytest.raises(DataError, match=r"data\.bin: this is not UTF-8 text"):
        list(Part((binary,)).documents())
