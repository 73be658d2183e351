"""What the documents name exists, and the front page says the same in both languages."""

from __future__ import annotations

import os
import re
import runpy
import shlex
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

from bert_thor.cli import COMMANDS, main

ROOT = Path(__file__).resolve().parents[1]
FRONT = ROOT / "README.md"
CHINESE = ROOT / "README.zh-CN.md"
SUFFIXES = (".py", ".cc", ".h", ".sh", ".md", ".cmake", ".png", ".svg", ".toml")
"""Of files that belong to the tree, not to a run or to somebody else's package."""
HYPOTHETICAL = re.compile(r"neon|my_kernel|<\w+>")
"""In names of what a reader would add."""


def walk(root: Path) -> Iterator[Path]:
    """All files but those that are built, downloaded or hidden."""
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in ("build", "demo", "runs")]
        yield from (Path(folder) / name for name in files)


FILES = frozenset("/" + path.relative_to(ROOT).as_posix() for path in walk(ROOT))
DOCUMENTS = sorted(path for path in walk(ROOT) if path.suffix == ".md")


def code_blocks(text: str) -> list[str]:
    """The contents of fenced blocks, and of paragraphs that are indented by four spaces."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
    return [*fenced, *re.findall(r"(?:^ {4}\S.*\n)+", without_blocks(text), re.M)]


def without_blocks(text: str) -> str:
    """The text without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def inline_code(text: str) -> list[str]:
    """What stands between backticks in running text and tables."""
    return re.findall(r"`([^`\n]+)`", without_blocks(text))


def links(text: str) -> list[str]:
    """The targets of links and images."""
    return re.findall(r"\]\(([^)\s]+)\)", without_blocks(text))


def commands(text: str) -> list[str]:
    """Every line of a block, and every piece of inline code."""
    lines = [line for block in code_blocks(text) for line in block.replace("\\\n", " ").splitlines()]
    return [line.split("  #")[0].strip() for line in (*lines, *inline_code(text))]


def words_of(command: str) -> list[str]:
    """As a shell would split it; a piece of running text that no shell takes has none."""
    try:
        return shlex.split(command)
    except ValueError:
        return []


@cache
def read(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def named(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=named)


def test_the_documents_are_found() -> None:
    assert {FRONT, CHINESE, ROOT / "CONTRIBUTING.md", ROOT / "docs/results.md"} <= set(DOCUMENTS)


@every_document
def test_links_lead_somewhere(document: Path) -> None:
    relative = [link.split("#")[0] for link in links(read(document)) if "://" not in link]
    missing = [link for link in relative if link and not (document.parent / link).exists()]
    assert not missing


@every_document
def test_files_that_are_named_exist(document: Path) -> None:
    """By their path from the document, from the root, or by the end of their path."""
    names = [name for name in inline_code(read(document)) if name.endswith(SUFFIXES) and " " not in name]
    real = [name for name in names if not HYPOTHETICAL.search(name) and name not in SUFFIXES]
    missing = [
        name
        for name in real
        if not (document.parent / name).exists() and not any(fnmatch(path, "*/" + name) for path in FILES)
    ]
    assert not missing


@every_document
def test_make_targets_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", read(ROOT / "Makefile"), re.M))
    asked = [words[1:] for words in map(words_of, commands(read(document))) if words[:1] == ["make"]]
    missing = [word for words in asked for word in words if re.fullmatch(r"[a-z0-9-]+", word) and word not in targets]
    assert not missing


@every_document
def test_bert_thor_commands_and_their_options_exist(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in commands(read(document)):
        words = command.split()
        if words[:1] != ["bert-thor"] or words[1:] in ([], ["COMMAND"]):
            continue
        assert words[1] in COMMANDS, command
        wanted = {word.split("=")[0] for word in words[2:] if word.startswith("--")} - {"--help"}
        if wanted:
            with pytest.raises(SystemExit):
                main([words[1], "--help"])
            known = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
            assert wanted <= known, command


@every_document
def test_modules_that_are_run_exist(document: Path) -> None:
    modules = re.findall(r"python -m ((?:bench|bert_thor)[\w.]*\w)", read(document))
    paths = [module.replace(".", "/").replace("bert_thor/kernels/", "kernels/") for module in modules]
    missing = [path for path in paths if not (f"/{path}.py" in FILES or f"/{path}/__main__.py" in FILES)]
    assert not missing


def numbers(text: str) -> Counter[str]:
    """The numbers in running text and tables: not in code, not in the targets of links."""
    prose = re.sub(r"`[^`\n]+`|\]\([^)\s]+\)", " ", without_blocks(text))
    return Counter(re.findall(r"\d+(?:[.,]\d+)*", prose))


def test_both_front_pages_have_the_same_commands() -> None:
    english, chinese = read(FRONT), read(CHINESE)
    assert code_blocks(english) == code_blocks(chinese)
    assert Counter(inline_code(english)) == Counter(inline_code(chinese))


def test_both_front_pages_have_the_same_figures() -> None:
    english, chinese = read(FRONT), read(CHINESE)
    assert numbers(english) == numbers(chinese)
    images = [re.findall(r"!\[[^\]]+\]\(([^)\s]+)\)", text) for text in (english, chinese)]
    assert images[0] == images[1] and len(images[0]) == 4
    languages = Counter(links(english)) - Counter(links(chinese)), Counter(links(chinese)) - Counter(links(english))
    assert languages == (Counter([CHINESE.name]), Counter([FRONT.name]))


def test_both_front_pages_have_the_same_sections() -> None:
    levels = [
        re.findall(r"^(#+) |^(\d+\.) |^(\*) |^(\|)", without_blocks(read(page)), re.M) for page in (FRONT, CHINESE)
    ]
    assert levels[0] == levels[1]


def test_what_runs_where_is_what_the_tree_has() -> None:
    rows = re.findall(r"^\| `(\w+)` \|(.+)\|$", read(FRONT), re.M)
    cells = {operation: [cell.strip() for cell in columns.split("|")] for operation, columns in rows}
    folders = sorted(path.parent for path in (ROOT / "kernels").glob("*/reference.py"))
    assert sorted(cells) == [folder.name for folder in folders] and len(rows) == len(cells)
    for folder in folders:
        reference, compiled, bf16, tik, triton = cells[folder.name]
        assert reference == compiled == "yes" and (folder / "native.py").exists()
        assert (bf16 != "-") == ("_bf16(" in read(folder / f"{folder.name}.h")), folder.name
        assert (tik == "simulated") == (folder / "tbe.py").exists(), folder.name
        assert (triton == "executed") == (folder / "triton.py").exists(), folder.name


def test_the_reading_paths_are_short_and_lead_on() -> None:
    """From the command each file imports the next, or its package, and the operator names the kernel."""
    hops, factors = (
        re.findall(r"\d\. \[([\w/.]+)\]", path) for path in re.findall(r"(?:^\d\. .+\n)+", read(FRONT), re.M)
    )
    assert len(hops) == 6 and len(factors) == 4
    *modules, operator, kernel = hops
    for here, there in zip(modules, [*modules[1:], f"bert_thor/{operator}"]):
        module = there[: -len(".py")].replace("/", ".")
        imported = re.findall(r"^\s*from (bert_thor\.[\w.]+) import", read(ROOT / here), re.M)
        assert {module, module.rpartition(".")[0]} & set(imported), (here, there)
    assert re.search(rf'= \w+\("{Path(kernel).name}"', read(ROOT / operator))


def test_the_picture_is_what_its_script_draws() -> None:
    drawing = runpy.run_path(str(ROOT / "docs" / "idea.py"))["drawing"]()
    assert (ROOT / "docs" / "idea.svg").read_text(encoding="utf-8") == drawing
