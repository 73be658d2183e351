"""What a framework must know to offer a kernel for Ascend as an operator."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Callable


@dataclass(frozen=True)
class Registration:
    """What a framework must know to offer a kernel as an operator.

    Attributes:
        name: of the operator.
        attributes: their types ("int", "float") by name, in the kernel's order.
        formats: the choices of types and layouts, each one name of MindSpore's `DataType` ("F16_Default") per tensor.
        inputs, outputs: names of the tensors.
    """

    name: str
    attributes: dict[str, str]
    formats: list[list[str]]
    inputs: list[str]
    outputs: list[str]


def register(
    name: str, attributes: dict[str, str], formats: list[list[str]], inputs: list[str], outputs: list[str]
) -> Callable[[Any], Any]:
    """Decorator that gives a kernel function the attribute `registration`; which framework reads it is not its concern."""

    def decorate(function: Any) -> Any:
        function.registration = Registration(name, attributes, formats, inputs, outputs)
        return function

    return decorate


def tik_kernels() -> dict[str, Any]:
    """Every registered function of a kernels/<operation>/tbe.py by its name."""
    files = sorted(Path(__file__).parents[1].glob("*/tbe.py"))
    modules = [import_module(f"bert_thor.kernels.{file.parent.name}.tbe") for file in files]
    found = [value for module in modules for value in vars(module).values() if hasattr(value, "registration")]
    return {function.__name__: function for function in found}
