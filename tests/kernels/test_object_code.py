"""Wide instructions stay in the files that are named after them: no older processor ever meets one."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bert_thor.kernels.library import library_path

ROOT = Path(__file__).resolve().parents[2]
OBJECTS = ROOT / "build" / f"cmake-{sys.implementation.cache_tag}" / "CMakeFiles" / "thor_kernels.dir" / "kernels"
# A register that the files of an instruction set may not touch. AVX2 code may not touch the sixteen registers or the
# masks that came with AVX-512 either.
FORBIDDEN = {
    "baseline": re.compile(r"%[yz]mm|%k[0-7]\b|\bv[a-z]+[0-9]* .*%xmm"),
    "avx2": re.compile(r"%zmm|%[xy]mm(1[6-9]|2\d|3[01])\b|%k[0-7]\b"),
}


def objects() -> list[Path]:
    found = sorted(OBJECTS.glob("*/*.o"))
    if not found or shutil.which("objdump") is None or shutil.which("nm") is None:
        pytest.skip("needs the objects of `python setup.py build_ext --inplace` and binutils")
    assert all(o.stat().st_mtime <= library_path().stat().st_mtime for o in found), (
        "the library is older than its objects"
    )
    return found


def instruction_set_of(path: Path) -> str:
    found = re.search(r"(avx512_bf16|avx512|avx2)\.cc\.o$", path.name)
    return found.group(1) if found else "baseline"


def output_of(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_every_instruction_set_has_objects() -> None:
    assert {instruction_set_of(path) for path in objects()} == {"baseline", "avx2", "avx512", "avx512_bf16"}


def test_wide_instructions_stay_in_their_files() -> None:
    for path in objects():
        forbidden = FORBIDDEN.get(instruction_set_of(path))
        if forbidden is not None:
            found = forbidden.search(output_of("objdump", "-d", "--no-show-raw-insn", str(path)))
            assert found is None, f"{path.relative_to(OBJECTS)}: {found}"


def test_the_files_use_what_they_are_named_after() -> None:
    for path in objects():
        register = {"avx2": "%ymm", "avx512": "%zmm", "avx512_bf16": "%zmm"}.get(instruction_set_of(path))
        if register is not None:
            assert register in output_of("objdump", "-d", "--no-show-raw-insn", str(path)), path.name


def test_wide_files_define_no_symbol_that_the_linker_could_prefer() -> None:
    """A weak symbol (an inline function, a template) may replace the same one of a file for any processor."""
    for path in objects():
        if instruction_set_of(path) != "baseline":
            symbols = [line.split() for line in output_of("nm", "--defined-only", "-C", str(path)).splitlines()]
            weak = [" ".join(fields[2:]) for fields in symbols if len(fields) > 2 and fields[1] in "WwVvu"]
            assert weak == [], f"{path.relative_to(OBJECTS)}: {weak}"
