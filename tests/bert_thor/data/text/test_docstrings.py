from __future__ import annotations

import ast
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bert_thor.data.text import docstrings


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


SOURCE = '''
"""Module text."""
if True:
    class A:
        """Class text."""
        def f(self):
            """Method text."""
            def inner():
                """Inner text."""
try:
    async def g():
        """Coroutine text."""
except ImportError:
    def g():
        """Fallback text."""
not_a_docstring = """Constant."""
'''


def test_docstrings_come_in_source_order_from_wherever_they_are_defined() -> None:
    found = list(docstrings._node_docstrings(ast.parse(SOURCE)))
    assert found == [f"{kind} text." for kind in ("Module", "Class", "Method", "Inner", "Coroutine", "Fallback")]


def test_the_built_in_corpus_repeats_no_paragraph(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    long = "A paragraph that is long enough to be recognised when it comes for a second time."
    write(tmp_path / "p" / "b.py", f'"""Title B.\n\n{long}\n\nReturns\n"""')
    write(tmp_path / "p" / "a.py", f'"""Title A.\n\n{long}\n\nReturns\n"""')
    write(tmp_path / "p" / "broken.py", "def")
    write(tmp_path / "p" / "bare.py", "x = 1")
    write(tmp_path / "p" / "tests" / "c.py", '"""Test."""')
    monkeypatch.setattr(docstrings, "_source_files", lambda: docstrings._python_files(tmp_path / "p"))
    with ThreadPoolExecutor() as pool:
        documents = list(docstrings.docstring_documents(pool))
    assert documents == [["Title A.", long, "Returns"], ["Title B.", "Returns"]]


def test_the_built_in_corpus_leaves_out_this_project() -> None:
    files = docstrings._source_files()
    assert any(path.name == "argparse.py" for path in files) and any("numpy" in path.parts for path in files)
    assert not [path for path in files if "bert_thor" in path.parts or "tests" in path.parts]
