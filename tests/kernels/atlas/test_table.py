"""The table of intrinsics is whole: every row has a place to run, an origin, a cost, a layout that does not overlap."""

from __future__ import annotations

import re

import pytest

from bert_thor.kernels.atlas import header, lower, wheels
from bert_thor.kernels.atlas.errors import ArgumentError, CompilerMissingError, UnknownIntrinsicError
from bert_thor.kernels.atlas.intrinsics import CONTROL, INTRINSICS, LAYOUTS
from bert_thor.kernels.atlas.machine import SOURCES
from bert_thor.kernels.atlas.targets import target


def defined() -> set[str]:
    """Symbols that the machine's own C++ defines, macros included."""
    text = "\n".join(path.read_text() for path in SOURCES.glob("*.cc"))
    by_hand = set(re.findall(r"\bhivm_(\w+)\(", text))
    by_macro = set(
        re.findall(r"^(?:GLOBAL_TO_UNIFIED|UNIFIED_TO_GLOBAL|ROWS_TO_FRACTALS|LOAD_MATRIX|MULTIPLY)\((\w+)", text, re.M)
    )
    by_table = {re.split(r"[(,]", row.entry)[1] for row in INTRINSICS.values() if row.entry}
    return by_hand | by_macro | by_table


def test_rows_and_functions_are_the_same() -> None:
    rows = {row.symbol for row in INTRINSICS.values() if row.pipe != "S"} | {name.replace(".", "_") for name in CONTROL}
    assert defined() - {"NAME"} == rows


def test_a_row_says_what_it_is() -> None:
    for name, row in INTRINSICS.items():
        assert row.meaning and row.origin and row.pipe in header.PIPES, name
        assert row.layout in LAYOUTS or row.layout == "", name
        assert row.cycles > 0 or name == "MOV.L1.TO.BT", name


@pytest.mark.parametrize("name", LAYOUTS)
def test_fields_do_not_overlap(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for word, first, bits in LAYOUTS[name].values():
        here = {(word, bit) for bit in range(first, first + bits)}
        assert not here & taken and first + bits <= 64
        taken |= here


def test_an_unknown_intrinsic_is_named() -> None:
    lower.check_known(["VADD_f32", "BARRIER"])
    with pytest.raises(UnknownIntrinsicError, match=r"VFANCY\.f32"):
        lower.check_known(["VADD_f32", "VFANCY_f32"])


def test_an_unknown_target_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(ArgumentError, match="Ascend910B1"):
        target("Ascend910A")


def test_a_missing_compiler_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "PACKAGES", ("no_such_package",))
    with pytest.raises(CompilerMissingError, match="make test-atlas"):
        wheels.require()
