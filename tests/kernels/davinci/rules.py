"""What the tests of the rules share: a register of cases, small helpers, and the check that a case is refused where it should."""

from __future__ import annotations

import linecache
from typing import Any, Callable

import numpy as np
import pytest
from tik_program import described, program

from bert_thor.kernels import davinci
from bert_thor.kernels.davinci import errors
from bert_thor.kernels.davinci.trace import tik

DATA = np.random.default_rng(0).uniform(1, 2, 2048).astype(np.float32)
UB, L1, L0A, L0B, L0C, GM = (
    tik.scope_ubuf, tik.scope_cbuf, tik.scope_ca, tik.scope_cb, tik.scope_cc, tik.scope_gm,
)  # fmt: skip

Case = Callable[[Any, Any, Any, Any, bool], None]
Cases = list[tuple[type[errors.DavinciError], Case]]


def registering(cases: Cases) -> Callable[[type[errors.DavinciError]], Callable[[Case], Case]]:
    """A decorator that adds ``case(t, ub, x, y, bad)``: ub is 2048 float32 with data, x and y the same in global memory."""

    def breaks(error: type[errors.DavinciError]) -> Callable[[Case], Case]:
        def register(case: Case) -> Case:
            cases.append((error, case))
            return case

        return register

    return breaks


def local(t: Any, size: int, dtype: str = "float32", scope: str = UB, name: str = "local") -> Any:
    return t.Tensor(dtype, (size,), name=name, scope=scope)


def halves(t: Any, ub: Any) -> Any:
    """2048 float16 with data."""
    half = local(t, 2048, "float16", name="half")
    t.vconv(64, "none", half, ub, 32, 1, 1, 4, 8)
    return half


def cube(t: Any, ub: Any, left: int = 256, result: int = 256, k: int = 16, m: int = 16) -> Any:
    """One 16 x 16 product from halves of ub; the starts and extents can be spoilt."""
    half = halves(t, ub)
    l1 = local(t, 2048, "float16", L1, "l1")
    l0a, l0b = local(t, 1024, "float16", L0A, "l0a"), local(t, 1024, "float16", L0B, "l0b")
    l0c = local(t, 1024, "float32", L0C, "l0c")
    t.data_move(l1, half, 0, 1, 128, 0, 0)
    t.load2dv1(l0a, l1, 0, 4, 1, 0, False)
    t.load2dv1(l0b, l1, 0, 4, 1, 0, False)
    t.mmad(l0c[result], l0a[left], l0b, m, k, 16, 0)
    return l0c[result]


def kernel_of(case: Case, bad: bool) -> davinci.Program:
    def body(t: Any, x: Any, y: Any) -> None:
        ones = t.Tensor("float32", (2048,), name="ones", scope=UB)
        t.vector_dup(64, ones, 1.0, 32, 1, 8)
        t.data_move(y, ones, 0, 1, 256, 0, 0)
        ub = t.Tensor("float32", (2048,), name="ub", scope=UB)
        t.data_move(ub, x, 0, 1, 256, 0, 0)
        case(t, ub, x, y, bad)

    return program(body, {"x": described(DATA)}, {"y": described(DATA)})


def check(error: type[errors.DavinciError], case: Case) -> None:
    """The good neighbour runs; the bad case raises, at a line of the case or of a helper that it calls."""
    kernel_of(case, bad=False).run(DATA)
    with pytest.raises(error) as caught:
        kernel_of(case, bad=True).run(DATA)
    assert isinstance(caught.value, RuntimeError)
    location = caught.value.location
    assert location is not None
    helpers = (local.__name__, cube.__name__, halves.__name__)
    here = (case.__code__.co_filename, case.__name__)
    assert (location.file, location.function) == here or (location.file == __file__ and location.function in helpers)
    assert str(caught.value).startswith(f"{location.file}:{location.line}: ")
    line = linecache.getline(location.file, location.line)
    assert any(word in line for word in ("t.", "with", "i > 0"))
