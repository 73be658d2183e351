"""CANN's own TIK kernels, and public ones, against NumPy: where a folder that TIK_KERNELS names holds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from foreign_cases import CANN, CASES, Case, check_cycles, numbers
from foreign_picture import difference, folder, outcome, traced

from bert_thor.kernels import davinci

SECONDS = 60
CYCLES_FILE = Path(__file__).parent / "cann_cycles.json"


@pytest.mark.parametrize("name", CASES)
def test_kernel(name: str) -> None:
    """Right without an option, or refused by the check that finds something in it, and right without that check."""
    case = CASES[name]()
    root = folder(case.folder)
    if root is None:
        pytest.skip(f"set TIK_KERNELS to a folder that holds {case.folder}")
    result = outcome(case)
    if case.finding:
        error, check = case.finding
        assert result.reason.startswith(f"{error}: {root}")
        result = outcome(case, (check,))
    assert (result.passed, result.reason) == (4, "")
    shapes = " -> ".join(
        " ".join("x".join(map(str, a.shape)) for a in arrays if a is not None)
        for arrays in (case.inputs, case.expected)
    )
    check_cycles(CYCLES_FILE, name, shapes, result.cycles)
    assert result.seconds < SECONDS


def test_every_kernel_file_loads() -> None:
    root = folder()
    if root is None:
        pytest.skip(f"set TIK_KERNELS to a folder that holds CANN's {CANN}")
    files = [f for f in sorted(root.rglob("*.py")) if any(s in f.read_text() for s in ("tik.Tik(", "import tik"))]
    assert len(files) > 400
    for file in files:
        davinci.load(str(file))


def test_cases_have_as_many_arrays_as_they_say() -> None:
    for name, make in CASES.items():
        case = make()
        assert case.inputs or case.expected, name
        assert all(x is None or x.size for x in case.expected), name
        assert any(x is not None for x in case.expected), name


def test_a_wrong_output_is_seen() -> None:
    x = numbers(0, 8)
    case = Case("none", [], [x], [x, None], error=2.0**-11)
    assert difference(case, [x, x]) == ""
    assert difference(case, [x + np.float16(0.01), x]).startswith("output 0 is wrong by 0.01")
    assert difference(case, [np.full_like(x, np.nan), x]).startswith("output 0 is wrong by nan")
    assert difference(case, [x[:4], x]) == "output 0 has 4 numbers instead of 8"
    assert difference(case, [x]) == "1 outputs instead of 2"
    case = Case("none", [], [x], [np.ma.masked_array(x, x == x[3])], exact=[(0, lambda y: y[:2], x[:2])])
    wrong = x.copy()
    wrong[3] = 99
    assert difference(case, [wrong]) == ""
    wrong[1] += np.float16(0.01)
    assert difference(case, [wrong]).startswith("output 0 is wrong by 0.01")
    assert difference(Case("none", [], [], [None], exact=case.exact), [wrong]) == "output 0 differs in 1 places"


def test_arguments_go_by_position_until_the_first_attribute() -> None:
    seen = {}

    def kernel(x: object, axis: int, y: object, kernel_name: str = "kernel") -> None:
        seen.update(x=x, axis=axis, y=y, kernel_name=kernel_name)

    description = {"shape": (4,), "dtype": "float32"}
    with pytest.raises(RuntimeError, match="BuildCCE 0 times"):
        traced(kernel, Case("none", [description, 3, description], [], []))
    assert (seen["axis"], seen["kernel_name"]) == (3, "kernel") and seen["x"]["shape"] == seen["y"]["shape"] == (4,)


def test_the_page_counts_the_cases() -> None:
    """Each case is right without an option or has a finding; ``test_kernel`` shows which."""
    counts: dict[str, list[int]] = {"CANN 8.1": [0, 0], "Ascend/samples": [0, 0], "Ascend/IndexSDK": [0, 0]}
    for make in CASES.values():
        case = make()
        place = "CANN 8.1" if case.folder.startswith(CANN) else "Ascend/samples"
        counts["Ascend/IndexSDK" if "ascendfaiss" in case.folder else place][case.finding is not None] += 1
    page = (Path(davinci.__file__).parent / "README.md").read_text()
    for place, (right, found) in counts.items():
        assert f"| {place} | {right + found} | {right} | {found} |" in page
