"""The interpreter's modules import one way: no circle, and no import against the order that its docstring declares."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from bert_thor.kernels import davinci

ROOT = Path(davinci.__file__).parent
FOR_ALL = {"errors", "machine"}
ENTRANCE = {"__init__": {"api", "trace"}, "__main__": {"api", "trace"}}

Graph = dict[str, set[str]]


def allowed(docstring: str) -> Graph:
    """The declared order: per package (or module of the top level) what it may import beside errors and machine."""
    rows = re.findall(r"^    (\w+) +imports ([\w, ]+)$", docstring, re.M)
    return {name: set() if listed == "nothing" else set(listed.split(", ")) for name, listed in rows}


def imported(file: Path, root: Path) -> Iterator[str]:
    """Dotted names under root that a file imports anywhere: at its top, in functions, for annotations only.

    Of the rest of bert_thor it may import `errors`, which imports nothing.
    """
    package = file.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = (*package[: len(package) - node.level + 1], *(node.module or "").split("."))
            base = tuple(part for part in base if part)
            for name in node.names:
                longer = root.joinpath(*base, name.name)
                inner = longer.with_suffix(".py").exists() or longer.is_dir()
                yield ".".join((*base, name.name) if inner else base)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            inside = [name for name in names if name.startswith("bert_thor") and name != "bert_thor.errors"]
            assert not inside, f"{file}: write {inside} as a relative import"


def graph(root: Path) -> Graph:
    """Module by module what is imported; a package's own name stands for its ``__init__``."""
    found: Graph = {}
    for file in root.rglob("*.py"):
        parts = file.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        found[name] = set(imported(file, root))
    return found


def circle(found: Graph) -> list[str] | None:
    try:
        TopologicalSorter(found).prepare()
    except CycleError as error:
        return list(error.args[1])
    return None


def upward(found: Graph, order: Graph) -> list[str]:
    """Imports that the order does not allow."""
    wrong = []
    for module, targets in found.items():
        package = module.split(".")[0]
        may = FOR_ALL if package in FOR_ALL else {package} | FOR_ALL | order.get(package, ENTRANCE.get(package, set()))
        wrong += [f"{module} imports {target}" for target in sorted(targets) if target.split(".")[0] not in may]
    return wrong


def test_no_circle() -> None:
    assert circle(graph(ROOT)) is None


def test_no_import_against_the_order() -> None:
    assert upward(graph(ROOT), allowed(str(davinci.__doc__))) == []


def test_the_order_names_every_package_and_has_no_circle() -> None:
    order = allowed(str(davinci.__doc__))
    packages = {file.parent.name for file in ROOT.glob("*/__init__.py")}
    assert packages | {"api"} == set(order)
    assert circle(order) is None


def test_the_page_shows_the_same_order() -> None:
    page = (ROOT / "README.md").read_text()
    rows = re.findall(r"^\| `(\w+)/` \|.*\| ([\w, `/]+) \|$", page, re.M)
    shown = {name: set(re.findall(r"`(\w+)/`", listed)) for name, listed in rows}
    assert shown == {name: targets for name, targets in allowed(str(davinci.__doc__)).items() if name != "api"}


HIDDEN = {
    "annotation": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..run.memory import Unit\n",
    "function": "def f():\n    from ..run import memory\n    return memory\n",
}


@pytest.mark.parametrize("how", HIDDEN)
def test_a_hidden_import_is_seen(how: str, tmp_path: Path) -> None:
    for folder, text in (("instructions", HIDDEN[how]), ("run", "from ..instructions.table import Plan\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text("")
        (tmp_path / folder / ("table.py" if folder == "instructions" else "memory.py")).write_text(text)
    found = graph(tmp_path)
    assert set(circle(found) or ()) == {"instructions.table", "run.memory"}
    order: Graph = {"instructions": set(), "run": {"instructions"}}
    assert upward(found, order) == ["instructions.table imports run.memory"]
