"""Our kernel on a problem of its cases.py, and the peers that the operation's file here knows, if there is one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Callable

import numpy as np

from bench.case import Case, Contenders
from bert_thor.kernels.arrays import empty_array
from bert_thor.kernels.cases import Problem, large, operations


def cases(threads: int, only: str) -> Iterator[Case]:
    """The large problems of every operation whose name contains `only`, each made when it is asked for."""
    for operation in operations():
        if only in operation:
            for problem in large(operation):
                yield case_of(operation, problem, threads)


def case_of(operation: str, problem: Problem, threads: int) -> Case:
    """Arrays start at a cache line, as the tensors of the frameworks do. Without peers the limit of the machine is left."""
    problem = replace(problem, arguments=tuple(map(_aligned, problem.arguments)))
    native = import_module(f"bert_thor.kernels.{operation}.native")
    contenders: Contenders = {"ours": _ours(native, problem, threads)}
    if find_spec(f"bench.kernels.{operation}"):
        contenders.update(import_module(f"bench.kernels.{operation}").peers(problem, threads))
    return Case(operation, problem.label, {problem.limit: problem.work}, contenders)


def _ours(native: ModuleType, problem: Problem, threads: int) -> Callable[[], object]:
    """The kernel writes into arrays that exist, state into its own."""
    state = tuple(map(_aligned, problem.arguments[: problem.state]))
    arguments = (*state, *problem.arguments[problem.state :])
    outputs = (*state, *problem.computed(native)[problem.state :])
    function = getattr(native, problem.function)
    return lambda: function(*arguments, threads=threads, out=outputs)


def _aligned(value: Any) -> Any:
    """A copy of an array; anything else as it is."""
    if not isinstance(value, np.ndarray):
        return value
    copy = empty_array(value.shape, value.dtype.type)
    copy[...] = value
    return copy
