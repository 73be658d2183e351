"""Documents of every form, read in blocks of any size, and what is said of text that is not as it should be."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from bert_thor.data.errors import DataError
from bert_thor.data.text import extent
from bert_thor.data.text.extent import Extent, LongLine
from bert_thor.data.text.files import Opener
from bert_thor.data.text.sentences import LONGEST_SENTENCE


def whole(path: Path, content: str | bytes, prose: bool = False) -> Extent:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    file = Opener(path.parent, prose, "text")(path)
    return Extent(file, 0, file.size)


def documents(piece: Extent) -> list[list[str]]:
    return list(piece.documents(lambda line: pytest.fail(str(line))))


def test_a_line_is_a_sentence_and_a_blank_line_ends_a_document(tmp_path: Path) -> None:
    text = "\n\n One. \nTwo.\r\n \t \n\nThree.\rstill three\u2028and on\n\n\n"
    assert documents(whole(tmp_path / "a.txt", text)) == [["One.", "Two."], ["Three.\rstill three\u2028and on"]]


def test_prose_is_one_document_per_file_cut_into_sentences(tmp_path: Path) -> None:
    text = "It was\nlate. Nobody came!\n\nWhy? (No answer.)\n"
    assert documents(whole(tmp_path / "a.txt", text, prose=True)) == [
        ["It was late.", "Nobody came!", "Why?", "(No answer.)"]
    ]
    assert documents(whole(tmp_path / "empty.txt", " \n\n", prose=True)) == []


WIKIEXTRACTOR = """<doc id="12" url="https://en.wikipedia.org/wiki?curid=12" title="Salt &amp; pepper">
Salt &amp; pepper

Salt is a mineral. Pepper is not.

History.
It began &lt;early&gt;.
</doc>
<doc id="13" url="https://en.wikipedia.org/wiki?curid=13" title="Empty">
Empty

</doc>
"""


def test_wikiextractor_gives_articles_without_titles(tmp_path: Path) -> None:
    assert documents(whole(tmp_path / "wiki_00", WIKIEXTRACTOR)) == [
        ["Salt is a mineral.", "Pepper is not.", "History.", "It began <early>."]
    ]


def test_json_lines_give_their_texts(tmp_path: Path) -> None:
    lines = [json.dumps({"id": "1", "text": "One. Two.\n\nThree."}), "", json.dumps({"text": " "}), '{"text": "Four"}']
    assert documents(whole(tmp_path / "a.jsonl", "\n".join(lines))) == [["One.", "Two.", "Three."], ["Four"]]


@pytest.mark.parametrize("block", (1, 7, 64, 1000))
@pytest.mark.parametrize("form", ("a.txt", "a.jsonl", "wiki_00"))
def test_every_cut_gives_the_same_documents_in_blocks_of_any_size(
    form: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = random.Random(1)
    expected = [[f"S{d} {s} \u00e9." for s in range(generator.randint(1, 5))] for d in range(60)]
    text = {
        "a.txt": "".join("\n".join(document) + "\n" * generator.randint(2, 4) for document in expected),
        "a.jsonl": "".join(json.dumps({"text": "\n".join(document)}) + "\n" for document in expected),
        "wiki_00": "".join('<doc id="1" title="T">\nT\n' + "\n".join(d) + "\n</doc>\n" for d in expected),
    }[form]
    monkeypatch.setattr(extent, "_BLOCK", block)
    found = whole(tmp_path / form, text)
    assert documents(found) == expected
    for pieces in range(1, 70, 3):
        cut = found.cut(pieces)
        assert len(cut) >= min(pieces, 60) / 2
        assert cut[0].start == 0 and cut[-1].stop == found.stop
        assert all(before.stop == after.start for before, after in zip(cut, cut[1:]))
        assert [document for piece in cut for document in documents(piece)] == expected


def test_a_bad_byte_is_named_by_file_line_and_offset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = "\u00e9\n".encode() * 500_000 + b"ok \xff ok\n" + b"more\n" * 1000
    for block in (1000, 1 << 20):
        monkeypatch.setattr(extent, "_BLOCK", block)
        with pytest.raises(DataError, match=r"a\.txt: line 500001 is not UTF-8 text: byte 0xff at offset 1500003;"):
            documents(whole(tmp_path / "a.txt", content))


def test_a_character_that_is_cut_off_at_the_end_is_a_bad_byte(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 2 is not UTF-8 text: byte 0xc3 at offset 3"):
        documents(whole(tmp_path / "a.txt", b"ok\n\xc3"))


def test_a_line_that_is_no_sentence_is_cut_and_named_by_number(tmp_path: Path) -> None:
    """A document of 3 MB on one line was one sentence, of which a row kept 125 tokens."""
    line = "This is a sentence of the article. " * 90_000
    lines: list[LongLine] = []
    found = list(whole(tmp_path / "a.txt", f"First.\n\n{line}\n\nLast.\n").documents(lines.append))
    assert found[0] == ["First."] and found[2] == ["Last."]
    assert found[1] == ["This is a sentence of the article."] * 90_000
    (long_line,) = lines
    assert "a.txt: line 3 has 3149999 characters; it was cut into sentences" in str(long_line)


def test_a_long_line_that_could_be_a_sentence_stays_one(tmp_path: Path) -> None:
    line = ("word. Word " * LONGEST_SENTENCE)[:LONGEST_SENTENCE].strip()
    assert documents(whole(tmp_path / "a.txt", line)) == [[line]]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    (
        ("a.jsonl", '{"text": "a"}\n{"text": \n', "line 2 is not a JSON object"),
        ("a.jsonl", '{"text": "a"}\n\n[1]\n', "line 3 has no text in the field 'text' but no fields"),
        (
            "a.jsonl",
            '{"id": 1, "content": "a"}',
            "has no text in the field 'text' but the fields id, content; set text",
        ),
        ("a.jsonl", '{"text": 5}', "line 1 has no text in the field 'text'"),
        ("wiki_00", '<doc id="1">\na\n</doc>\nb\n', "line 4 stands outside <doc"),
        ("wiki_00", '<doc id="1">\na\n', "ends inside <doc"),
    ),
)
def test_text_of_another_form_is_refused_by_line(name: str, content: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{name}: .*{reason}"):
        documents(whole(tmp_path / name, content))


@pytest.mark.parametrize(("prose", "content"), ((False, "a line\n" * 40), (False, "x" * 300), (True, "a line\n" * 40)))
def test_a_document_without_end_is_refused(
    prose: bool, content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extent, "LONGEST_DOCUMENT", 100)
    monkeypatch.setattr(extent, "_BLOCK", 20)
    with pytest.raises(DataError, match="the document around line 1 is longer than"):
        documents(whole(tmp_path / "a.txt", content, prose))
