"""What a framework must know to offer a kernel for Ascend as an operator."""

from __future__ import annotations

from dataclasses import dataclass
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
