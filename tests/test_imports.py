"""Imports run one way: no circle between modules or packages, and none from a package to one above it.

Every import statement counts: at the top of a file, in a function, and for annotations alone.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ORDER = (
    {"original"},
    {"cli"},
    {"command_line"},
    {"training", "planning", "convert", "doctor"},
    {"recipes"},
    {"optimizer"},
    {"parallel", "network"},
    {"ops"},
    {"kernels"},
    {"data", "files", "entries", "errors", "compat", "precision"},
)
"""The members of `bert_thor` from top to bottom: each may import those of its own line and of the lines below.

Those of the last line stand beside all others: everybody may import them.
"""

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"bert_thor": ROOT / "bert_thor", "bert_thor.ops": ROOT / "ops", "bert_thor.kernels": ROOT / "kernels"}
"""Where the package lies, by import name."""


class Import(NamedTuple):
    """One module names another one in an import statement; a package stands for its __init__.py."""

    module: str
    target: str


def modules(folders: Mapping[str, Path]) -> dict[str, Path]:
    """Every module in the folders by its import name."""
    found = {}
    for name, folder in folders.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join((name, *(part for part in parts if part != "__init__")))] = path
    return found


def imports(folders: Mapping[str, Path]) -> set[Import]:
    """What the modules in the folders import of each other."""
    paths = modules(folders)
    found = {Import(name, target) for name, path in paths.items() for target in targets(name, path, paths)}
    return {one for one in found if one.module != one.target}


def targets(name: str, path: Path, paths: Mapping[str, Path]) -> Iterator[str]:
    """The modules among `paths` that the file imports, wherever the statement stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = origin(node, name, path.name == "__init__.py")
            names = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in paths else base for alias in node.names]
        else:
            continue
        yield from (target for target in names if target in paths)


def origin(node: ast.ImportFrom, name: str, is_package: bool) -> str:
    """The module that `from ... import` names, in full."""
    if not node.level:
        return str(node.module)
    package = name.split(".")[: len(name.split(".")) - node.level + is_package]
    return ".".join([*package, *([node.module] if node.module else [])])


def within(name: str, package: str) -> bool:
    """Whether the module `name` is `package` or lies in it."""
    return f"{name}.".startswith(f"{package}.")


def member(name: str, package: str) -> str:
    """The direct member of `package` that the module `name` is or lies in; the package itself for its __init__.py."""
    return ".".join(name.split(".")[: package.count(".") + 2])


def packages(found: set[Import]) -> set[str]:
    """Every package that holds one of the modules."""
    return {
        ".".join(name.split(".")[:count]) for one in found for name in one for count in range(1, name.count(".") + 1)
    }


def circle(found: set[Import]) -> list[str]:
    """Members of one package that import each other in a circle, the first again at the end; empty where there is none.

    A circle of modules is a circle of members of the smallest package that holds all of them, so it is enough to look at each package as
    the graph of its members.
    """
    for package in sorted(packages(found)):
        graph: dict[str, set[str]] = {}
        for one in found:
            if within(one.module, package) and within(one.target, package):
                graph.setdefault(member(one.module, package), set()).add(member(one.target, package))
        try:
            TopologicalSorter({node: targets - {node} for node, targets in graph.items()}).prepare()
        except CycleError as error:
            return list(reversed(error.args[1]))
    return []


def line(name: str) -> int:
    """The line of `ORDER` in which the member of `bert_thor` that holds the module `name` stands."""
    return next(number for number, names in enumerate(ORDER) if name.split(".")[1] in names)


def upward(found: set[Import]) -> list[Import]:
    """The imports that `ORDER` does not allow; `bert_thor` itself, which holds the version, may be imported by all."""
    return sorted(one for one in found if one.target != "bert_thor" and line(one.module) > line(one.target))


@pytest.fixture(scope="module")
def found() -> set[Import]:
    return imports(FOLDERS)


def test_no_circle(found: set[Import]) -> None:
    assert not circle(found)


def test_no_import_runs_upwards(found: set[Import]) -> None:
    assert not upward(found)


def test_the_order_names_the_members_that_there_are() -> None:
    members = {member(name, "bert_thor").partition(".")[2] for name in modules(FOLDERS)} - {""}
    assert set().union(*ORDER) == members
    assert sum(map(len, ORDER)) == len(members), "one of them stands in two lines"


def test_the_package_is_read(found: set[Import]) -> None:
    """Some imports that are known: at the top, in a function, for annotations, of a name, of a module, of the version."""
    assert {
        Import("bert_thor.original.programs", "bert_thor.training.trainer"),
        Import("bert_thor.cli", "bert_thor.training.trainer"),
        Import("bert_thor.cli", "bert_thor.command_line.parse"),
        Import("bert_thor.planning.plan", "bert_thor.planning.work"),
        Import("bert_thor.ops.layer_norm", "bert_thor.kernels.layer_norm.akg"),
        Import("bert_thor.training.trainer", "bert_thor"),
    } <= found


WITHOUT_MINDSPORE = (
    "bert_thor.cli",
    "bert_thor.data.prepare",
    "bert_thor.doctor",
    "bert_thor.kernels.davinci",
    "bert_thor.network.architecture",
)


def test_what_promises_to_run_without_mindspore_does() -> None:
    program = f"import sys; sys.modules['mindspore'] = None; import {', '.join(WITHOUT_MINDSPORE)}"
    subprocess.run([sys.executable, "-c", program], check=True)


def made_up(folder: Path, files: Mapping[str, str]) -> set[Import]:
    """The imports of a made-up package with these files."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return imports({"bert_thor": folder})


HIDDEN = {
    "function": "def call():\n    from bert_thor.{}.{} import name\n",
    "annotation": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from bert_thor.{}.{} import name\n",
    "module": "import bert_thor.{}.{}\n",
    "member": "from bert_thor.{} import {}\n",
    "relative": "from ..{} import {}\n",
}
"""Ways to import a module, given its package and its name."""


@pytest.mark.parametrize("way", HIDDEN)
def test_a_made_up_circle_is_found(tmp_path: Path, way: str) -> None:
    """Between modules of two packages, and between packages whose modules form no circle."""
    back = HIDDEN[way]
    modules = made_up(
        tmp_path / "one",
        {"network/a.py": "from bert_thor.parallel import b", "parallel/b.py": back.format("network", "a")},
    )
    assert set(circle(modules)) == {"bert_thor.network", "bert_thor.parallel"}
    files = {"network/a.py": "from bert_thor.parallel import b", "parallel/b.py": "", "network/c.py": ""}
    packages = made_up(tmp_path / "two", {**files, "parallel/d.py": back.format("network", "c")})
    assert set(circle(packages)) == {"bert_thor.network", "bert_thor.parallel"}
    assert not circle(made_up(tmp_path / "three", files))


def test_a_made_up_circle_within_a_package_is_found(tmp_path: Path) -> None:
    files = {
        "network/a.py": "from . import b",
        "network/b.py": "from .c import name",
        "network/c.py": "import bert_thor.network.a",
    }
    found = circle(made_up(tmp_path, files))
    assert found[0] == found[-1] and set(found) == {f"bert_thor.network.{name}" for name in "abc"}


@pytest.mark.parametrize("way", HIDDEN)
def test_a_made_up_upward_import_is_found(tmp_path: Path, way: str) -> None:
    text = HIDDEN[way].format("training", "trainer")
    files = {
        "training/trainer.py": "",
        "cli.py": "import bert_thor.training.trainer",
        "optimizer/step.py": text,
        "data/rows.py": text,
    }
    expected = [Import(f"bert_thor.{name}", "bert_thor.training.trainer") for name in ("data.rows", "optimizer.step")]
    assert upward(made_up(tmp_path, files)) == expected
