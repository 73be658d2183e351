"""Every operator on every backend that it offers here, on the small problems of its kernel's cases.py.

The compiled kernel gives the bits that it gives NumPy, and every backend what the reference says. An operator is found by the name of
the problem's function: its factory takes those of the reference's parameters that it names, the operator takes the rest.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, ParameterTuple, Tensor, nn
from precisions import AVAILABLE

from bert_thor.kernels.cases import Problem, from_bfloat16, operations, small, to_bfloat16
from bert_thor.ops import _backend

IN_GRAPH_MODE = 3  # problems of a function that are tried in graph mode, which compiles every one


class Call(nn.Cell):
    """An operator whose state is in parameters."""

    def __init__(self, operator: Any, state: tuple[np.ndarray, ...]) -> None:
        super().__init__()
        self.operator = operator
        self.state = ParameterTuple(Parameter(value.copy(), f"state{place}") for place, value in enumerate(state))

    def construct(self, *inputs: Tensor) -> Any:
        return self.operator(*self.state, *inputs)


def module(package: str, operation: str, name: str = "") -> ModuleType:
    return import_module(".".join(filter(None, ("bert_thor", package, operation, name))))


def problems(operation: str) -> Iterator[tuple[Any, Problem]]:
    """(the factory of the operator, problem), where there is an operator of this name; MindSpore has no empty tensors."""
    for problem in small(operation):
        factory = getattr(module("ops", operation), problem.function, None)
        if factory is not None and all(value.size > 0 for value in problem.arguments if isinstance(value, np.ndarray)):
            yield factory, problem


def by_name(operation: str, problem: Problem) -> dict[str, Any]:
    """The arguments of the reference."""
    given = problem.arguments if problem.reference_arguments is None else problem.reference_arguments
    function = getattr(module("kernels", operation, "reference"), problem.function)
    return dict(zip(inspect.signature(function).parameters, given))


def split(operation: str, factory: Any, problem: Problem) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """What the factory takes, and what the operator takes."""
    if problem.operator_arguments is not None:
        settings, inputs = problem.operator_arguments
        return tuple(getattr(ms, value) if isinstance(value, str) else value for value in settings), inputs
    named, names = by_name(operation, problem), inspect.signature(factory).parameters
    return tuple(named[name] for name in names), tuple(value for name, value in named.items() if name not in names)


def offered(operation: str, factory: Any, settings: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    """(backend, operator) of every backend that has this operation and can run here."""
    with pytest.MonkeyPatch.context() as patch:
        for backend in _backend.BACKENDS:
            patch.setenv(_backend.VARIABLE, f"{operation}={backend}")
            try:
                operator = factory(*settings)
            except _backend.BackendError:
                continue
            yield backend, operator


def results(operator: Any, problem: Problem, inputs: tuple[Any, ...]) -> tuple[np.ndarray, ...]:
    """What the state is after one call, then what the operator returns."""
    call = Call(operator, inputs[: problem.state])
    returned = call(*map(to_tensor, inputs[problem.state :]))
    arrays = returned if isinstance(returned, tuple) else (returned,)
    return tuple(map(to_array, (*call.state, *arrays)))


def to_tensor(value: Any) -> Tensor:
    """Bit patterns of bfloat16 become bfloat16."""
    if isinstance(value, np.ndarray) and value.dtype == np.uint16:
        return Tensor(from_bfloat16(value)).astype(ms.bfloat16)
    return Tensor(np.float32([value]) if isinstance(value, float) else value)


def to_array(tensor: Tensor) -> np.ndarray:
    """bfloat16 becomes bit patterns."""
    if tensor.dtype == getattr(ms, "bfloat16", None):
        return to_bfloat16(tensor.astype(ms.float32).asnumpy())
    return tensor.asnumpy()


@pytest.mark.parametrize("operation", operations())
def test_every_small_problem(mode: int, operation: str) -> None:
    native, reference = module("kernels", operation, "native"), module("kernels", operation, "reference")
    compiled = _backend.choose(operation, _backend.BACKENDS)  # the CPU's own choice
    tried: dict[str, dict[str, int]] = {}
    for factory, problem in problems(operation):
        settings, inputs = split(operation, factory, problem)
        random = by_name(operation, problem).get("probability", 0.0) > 0  # only our masks follow from a seed
        narrow = any(isinstance(value, np.ndarray) and value.dtype == np.uint16 for value in problem.arguments)
        for backend, operator in offered(operation, factory, settings):
            if narrow and (backend != compiled or "bfloat16" not in AVAILABLE):  # MindSpore's own for CPUs take none
                continue
            counts = tried.setdefault(problem.function, {})
            if (random and backend != compiled) or (mode == ms.GRAPH_MODE and counts.get(backend, 0) >= IN_GRAPH_MODE):
                continue
            counts[backend] = counts.get(backend, 0) + 1
            where = f"{problem.function} {problem.label} on {backend}"
            ours, exact = results(operator, problem, inputs), problem.exact(reference)
            common = min(len(ours), len(exact))  # some return a number to depend on, some keep what the gradient needs
            assert problem.error(ours[:common], exact[:common]) <= 1, where
            if backend == compiled:
                pairs = list(zip(ours, problem.computed(native)))
                assert all(a.dtype == b.dtype and (a == b).all() for a, b in pairs), where
    assert tried, f"ops/{operation}.py has no operator for a function of kernels/{operation}/cases.py"
    assert all(compiled in counts for counts in tried.values()), tried
