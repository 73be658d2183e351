from __future__ import annotations

import hashlib
from pathlib import Path

from bert_thor.data.prepare.documents import Selection, WordCounter, survey
from bert_thor.data.text.corpus import Part
from bert_thor.data.text.extent import Extent
from bert_thor.data.text.files import Opener


def part(folder: Path, content: str) -> Part:
    (folder / "a.txt").write_text(content)
    file = Opener(folder, False, "text")(folder / "a.txt")
    return Part((Extent(file, 0, file.size),))


def test_a_survey_counts_documents_and_digests_their_text(tmp_path: Path) -> None:
    long = "word " * 5000
    found = survey(part(tmp_path, f" One.\nTwo.\n\n\n{long}\n{long}\n{long}\n{long}\n"))
    assert found.documents == 2
    assert len(found.long_lines) == 3 and found.long_line_count == 4
    assert [str(line).split(" has ")[0].split(": ")[1] for line in found.long_lines] == ["line 5", "line 6", "line 7"]
    assert survey(part(tmp_path, "One.\nTwo.\n\nA.")).sha256 == hashlib.sha256(b"One.\nTwo.\n\nA.\n\n").digest()


def test_a_selection_is_what_is_held_out_or_the_rest(tmp_path: Path) -> None:
    text = part(tmp_path, "a\n\nb\n\nc c\n\nD\n")
    held_out, rest = (Selection(text, 4, frozenset((0, 2)), wanted) for wanted in (True, False))
    assert list(held_out.documents()) == [["a"], ["c c"]] and list(rest.documents()) == [["b"], ["D"]]
    assert len(held_out) == len(rest) == 2 and held_out.size == text.size / 2
    assert WordCounter(cased=False)(held_out) == {"a": 1, "c": 2}
    assert WordCounter(cased=True)(rest) == {"b": 1, "D": 1}
