"""Every compiled kernel on the problems of its cases.py: against the reference, between canaries, for any number of threads."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from comparison import call_guarded

from bert_thor.kernels import cases
from bert_thor.kernels.cases import Problem
from bert_thor.kernels.library import InstructionSet, instruction_set, set_instruction_set

MISALIGNED = 1  # elements past a cache line
THREADS = 3


@pytest.fixture(autouse=True)
def same_instruction_set_afterwards() -> Iterator[None]:
    highest = instruction_set()
    yield
    set_instruction_set(highest)


def module(operation: str, name: str) -> ModuleType:
    return import_module(f"bert_thor.kernels.{operation}.{name}")


def guarded(native: ModuleType, problem: Problem, like: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """The kernel's results on misaligned arrays with canaries round the outputs, whose shapes and types are those of `like`."""
    shapes, dtypes = [result.shape for result in like], [result.dtype for result in like]
    function = getattr(native, problem.function)
    return tuple(call_guarded(function, problem.arguments, shapes, dtypes, MISALIGNED, single=len(like) == 1))


def assert_same_bits(native: ModuleType, problem: Problem, alone: tuple[np.ndarray, ...], where: str) -> None:
    """Misaligned, and by several threads."""
    for others in (guarded(native, problem, alone), problem.computed(native, threads=THREADS)):
        assert all(one.tobytes() == other.tobytes() for one, other in zip(alone, others)), where


@pytest.mark.parametrize("operation", cases.operations())
def test_every_small_problem(operation: str) -> None:
    """One test per operation, so that a mutant of it meets all of its problems."""
    native, reference = module(operation, "native"), module(operation, "reference")
    highest, tried = instruction_set(), 0
    for problem in cases.small(operation):
        exact = problem.exact(reference)
        for isa in InstructionSet:
            if isa > highest or set_instruction_set(isa) != isa:
                continue
            where = f"{problem.function} {problem.label} on {isa.name.lower()}"
            ours = problem.computed(native, threads=1)
            assert problem.error(ours, exact) <= 1, where
            assert_same_bits(native, problem, ours, where)
            if problem.bfloat16:  # how precise it is has tests of the operation's own
                narrow = replace(problem, arguments=problem.in_bfloat16)
                assert_same_bits(native, narrow, narrow.computed(native, threads=1), f"{where}, in bfloat16")
            tried += 1
    assert tried > 0, f"kernels/{operation}/cases.py has no small problem"


@pytest.mark.parametrize("operation", cases.operations())
@pytest.mark.parametrize(
    ("threads", "error"),
    [
        (-1, ValueError),
        (2**31, ValueError),
        (2**40, ValueError),
        (2**70, ValueError),
        (1.5, TypeError),
        ("2", TypeError),
    ],
)
def test_what_is_no_number_of_threads_gets_a_sentence(operation: str, threads: Any, error: type) -> None:
    native = module(operation, "native")
    functions = {problem.function: problem for problem in cases.small(operation)}
    for name, problem in functions.items():
        with pytest.raises(error, match=re.escape(f"{name}: threads is {threads!r}") + ".*; pass 0 for all"):
            problem.computed(native, threads=threads)


@pytest.mark.parametrize("operation", cases.operations())
def test_every_function_has_a_problem(operation: str) -> None:
    """The kernels of native.py are the functions that take arrays to write into."""
    native = module(operation, "native")
    own = [value for value in vars(native).values() if getattr(value, "__module__", "") == native.__name__]
    names = {value.__name__ for value in own if "out" in inspect.signature(value).parameters}
    public = {name for name in names if not name.startswith("_")}
    assert public == {problem.function for problem in cases.small(operation)}


@pytest.mark.parametrize("operation", cases.operations())
def test_large_problems_are_small_ones_with_other_sizes(operation: str) -> None:
    """The benchmark times the same functions, and knows what each problem needs."""
    small = {problem.function for problem in cases.small(operation)}
    first = next(cases.large(operation))
    assert first.function in small and first.work > 0 and first.limit in ("fp32", "bf16", "copy")


def test_a_wrong_result_is_above_what_is_allowed() -> None:
    exact = (np.ones(5, np.float32), np.zeros(3, np.float32))
    problem = Problem("f", "five", (), length=2, work=0)
    assert problem.error(exact, exact) == 0
    assert problem.error((exact[0] * np.float32(1 + 2.0**-20), exact[1]), exact) > 1
    assert np.isnan(problem.error((exact[0] * np.float32(np.nan), exact[1]), exact))
    assert problem.error((exact[0][:4], exact[1]), exact) == np.inf
    assert problem.error(exact[:1], exact) == np.inf


def test_problems_are_the_same_every_time() -> None:
    for operation in cases.operations():
        one, two = next(cases.small(operation)), next(cases.small(operation))
        assert [np.asarray(a).tobytes() for a in one.arguments] == [np.asarray(a).tobytes() for a in two.arguments]
