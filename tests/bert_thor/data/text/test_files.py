"""Which files a source names, how they are unpacked, and what form they are taken to have."""

from __future__ import annotations

import bz2
import gzip
import random
from pathlib import Path

import pytest
import zstandard

from bert_thor.data.errors import DataError
from bert_thor.data.text.files import Opener, text_files

TEXT = "".join(f"sentence {number}\n\n" for number in range(50_000)).encode()


def open_file(path: Path, content: bytes, prose: bool = False) -> object:
    path.write_bytes(content)
    return Opener(path.parent / "unpacked", prose, "text")(path)


@pytest.fixture(autouse=True)
def unpacked(tmp_path: Path) -> Path:
    (tmp_path / "unpacked").mkdir()
    return tmp_path / "unpacked"


def test_files_are_found_in_a_fixed_order(tmp_path: Path) -> None:
    names = ["b.txt", "a/z.txt", "a/b/c.txt", "a.txt"]
    random.Random(1).shuffle(names)
    for name in (*names, ".hidden", ".git/config", "a/z.txt.md5", "eval.SHA256"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    found = [path.relative_to(tmp_path).as_posix() for path in text_files([str(tmp_path)])]
    assert found == ["a/b/c.txt", "a/z.txt", "a.txt", "b.txt"]


def test_missing_and_empty_sources_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere' does not exist"):
        text_files([str(tmp_path / "nowhere")])
    with pytest.raises(DataError, match="no text file in"):
        text_files([str(tmp_path)])


PACK = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}


@pytest.mark.parametrize("suffix", PACK)
def test_packed_files_are_unpacked_once_also_in_several_members(suffix: str, tmp_path: Path, unpacked: Path) -> None:
    half = len(TEXT) // 2
    content = PACK[suffix](TEXT[:half]) + PACK[suffix](TEXT[half:])
    file = open_file(tmp_path / f"a.txt{suffix}", content)
    assert file.path.read_bytes() == TEXT and file.size == len(TEXT)
    assert file.name == str(tmp_path / f"a.txt{suffix}") and file.form == "sentences"
    file.path.write_bytes(b"kept")
    assert Opener(unpacked, False, "text")(tmp_path / f"a.txt{suffix}").size == 4


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("damage", ("cut off", "overwritten"))
def test_damaged_packed_files_are_refused_by_name(suffix: str, damage: str, tmp_path: Path) -> None:
    content = PACK[suffix](TEXT)
    content = content[:-20] if damage == "cut off" else content[:1000] + b"\xff" * 50 + content[1050:]
    with pytest.raises(DataError, match=rf"a\.txt\{suffix}: this \{suffix} file is damaged or incomplete"):
        open_file(tmp_path / f"a.txt{suffix}", content)


@pytest.mark.parametrize(
    ("name", "content", "prose", "form"),
    (
        ("a.txt", b"A sentence.\n", False, "sentences"),
        ("a.txt", b"A sentence.\n", True, "prose"),
        ("wiki_00", b'\n<doc id="1" url="" title="A">\nA\n', False, "wikiextractor"),
        ("a.jsonl", b"anything", True, "json"),
        ("wiki_00", b'{"id": "1", "text": "A"}\n{', False, "json"),
        ("wiki_00", b'\xef\xbb\xbf{"id": "1", "text": "A"}\n', False, "json"),
        ("a.txt", b'{"quoted"} is no JSON\n', False, "sentences"),
        ("long.txt", b'{"text": "' + b"x" * 100_000 + b'"}\n', False, "json"),
    ),
)
def test_the_form_is_recognised(name: str, content: bytes, prose: bool, form: str, tmp_path: Path) -> None:
    assert open_file(tmp_path / name, content, prose).form == form


def test_a_packed_file_has_the_form_of_what_is_in_it(tmp_path: Path) -> None:
    assert open_file(tmp_path / "a.jsonl.gz", gzip.compress(b"x")).form == "json"


def test_a_raw_dump_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a dump in Wikipedia's XML; run WikiExtractor"):
        open_file(tmp_path / "enwiki.xml", b"<mediawiki xmlns=''>")


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none: No such file"):
        Opener(tmp_path, False, "text")(tmp_path / "none")
