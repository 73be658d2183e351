"""The files with TIK kernels: they import anywhere, twice, under both names of CANN, and register what they say."""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import pytest

from bert_thor import kernels
from bert_thor.kernels import davinci
from bert_thor.kernels.ascend import tik_support
from bert_thor.kernels.ascend.registration import tik_kernels
from bert_thor.kernels.davinci.trace import tik

load = importlib.import_module("bert_thor.kernels.davinci.trace.load")  # the package exports a function of that name

OPERATIONS = sorted(path.parent.name for path in Path(kernels.__file__).parent.glob("*/tbe.py"))


def path_of(operation: str) -> str:
    return os.path.join(os.path.dirname(os.path.abspath(kernels.__file__)), operation, "tbe.py")


@contextmanager
def without(*roots: str) -> Iterator[None]:
    """Imports of these packages fail inside the block."""
    real = builtins.__import__

    def refuse(name: str, *arguments: Any, **keywords: Any) -> ModuleType:
        if name.split(".")[0] in roots:
            raise ImportError(f"{name} is not installed")
        return real(name, *arguments, **keywords)

    with mock.patch.object(builtins, "__import__", refuse):
        yield


def execute(path: str) -> ModuleType:
    """The file as MindSpore executes it: under a name of its own, outside any package."""
    spec = importlib.util.spec_from_file_location("kernel_file_by_itself", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def registered(module: ModuleType) -> list[Any]:
    """The kernels of a file."""
    found = [value for value in vars(module).values() if hasattr(value, "registration")]
    assert found, f"{module.__file__} registers nothing"
    return found


@pytest.mark.parametrize("operation", OPERATIONS)
def test_imports_without_cann_and_mindspore(operation: str) -> None:
    with without("te", "tbe", "mindspore"):
        module = execute(path_of(operation))
    assert all(map(callable, registered(module)))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_executes_twice_to_the_same(operation: str) -> None:
    """MindSpore executes the file of a tbe function again for every graph; what is left over must not matter."""
    first, second = (registered(execute(path_of(operation))) for _ in range(2))
    assert len(first) == len(second)
    for one, other in zip(first, second):
        assert one is not other and one.__name__ == other.__name__
        assert one.registration == other.registration


@pytest.mark.parametrize("operation", OPERATIONS)
def test_registration_names_what_the_function_takes(operation: str) -> None:
    """Tensors and attributes in the order of the parameters, as MindSpore calls it, and a type for every tensor."""
    for function in registered(execute(path_of(operation))):
        registration = function.registration
        tensors = [*registration.inputs, *registration.outputs]
        parameters = list(inspect.signature(function).parameters)
        assert parameters[len(tensors) :] == [*registration.attributes, "kernel_name"]
        assert registration.formats
        assert all(len(choice) == len(tensors) for choice in registration.formats)


@pytest.mark.parametrize("missing", ["te", "tbe"])
def test_either_name_of_cann_serves(missing: str) -> None:
    """Old CANN has te, new CANN has tbe."""
    with load.stand_ins("."), without(missing):
        assert tik_support.tik_module().Tik is tik.Tik
        assert tik_support.core_count() == 32


def test_every_registered_kernel_is_found_by_its_name() -> None:
    names = [function.__name__ for operation in OPERATIONS for function in registered(execute(path_of(operation)))]
    assert sorted(tik_kernels()) == sorted(names) and len(names) >= 9


def test_leading_axes_of_a_description_are_rows() -> None:
    module = davinci.load(path_of("layer_norm"))
    x, values, parameters = ((2, 3, 4, 16), "float16"), ((24,), "float32"), ((16,), "float32")
    program = davinci.trace(module.layer_norm, x, parameters, parameters, x, values, values, eps=1e-5)
    assert [shape for _, shape, _ in program.outputs] == [(24, 16), (24,), (24,)]
    ones = np.ones(16, np.float32)
    y = program.run(np.arange(384).reshape(24, 16).astype(np.float16), ones, 0 * ones).outputs[0]
    assert (np.abs(y.astype(np.float64).mean(axis=1)) <= 2.0**-10).all()


def test_nothing_of_cann_stays_behind() -> None:
    davinci.load(path_of("precondition"))
    assert not {"te", "tbe", "topi"} & {name.split(".")[0] for name in sys.modules}
