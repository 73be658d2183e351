"""The sum of two tensors as a MindSpore operator."""

from __future__ import annotations

from typing import Callable

from mindspore import Tensor, ops

from bert_thor.ops._backend import choose
from bert_thor.ops._custom import SAME, cpu, dtypes

Add = Callable[[Tensor, Tensor], Tensor]


def add() -> Add:
    """The operator (a, b) -> a + b, summed in float32 and rounded once; a, b and the sum have one shape and are stored in
    float32, bfloat16 (cpu) or float16 (mindspore). It has no gradient: it is there to add gradients up. Graph mode and PyNative.
    """
    backends: dict[str, Callable[[], Add]] = {"mindspore": add_mindspore, "cpu": add_cpu}
    return backends[choose("add", backends)]()


_add: Add = cpu("add", lambda a, b: a, dtypes("add", 0, SAME))


def add_cpu() -> Add:
    """The kernel for CPUs."""
    return _add


def add_mindspore() -> Add:
    """MindSpore's own operator."""
    operator: Add = ops.Add()
    return operator
