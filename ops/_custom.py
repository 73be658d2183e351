"""How an operator reaches its kernel for CPUs: `Custom(func_type="aot")` on the plain C ABI, and error codes as sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable

import mindspore as ms
from mindspore import nn, ops

from bert_thor.kernels.entry_points import check_types
from bert_thor.kernels.library import library_path, load_native
from bert_thor.kernels.status import KernelError, Status

try:
    from mindspore.graph.api import _pynative_executor
except ImportError:  # before MindSpore 2.9
    from mindspore.common.api import _pynative_executor

SAME = object()
"""Among the outputs of `dtypes`: the dtype of the activations."""
_FAILURE = re.compile(r"function\((?:thor_)?(\w+)\) is (-?\d+)")


class _CpuOperator(ops.Custom):
    """An operator over a C entry point whose refusal is a `KernelError`, wherever it is called outside a graph.

    Inside a graph, of anybody, what it refuses for its type or shape is one when the graph is compiled.
    """

    entry_point = ""

    def __infer__(self, *inputs: Any) -> Any:
        """Infer types and shapes of the outputs, and ask the entry point whether it takes all of them."""
        inferred = super().__infer__(*inputs)
        shapes, kinds = inferred["shape"], inferred["dtype"]
        outputs = zip(kinds, shapes) if isinstance(kinds, (tuple, list)) else [(kinds, shapes)]
        tensors = [
            (element_type(kind), shape) for kind, shape in [*((x["dtype"], x["shape"]) for x in inputs), *outputs]
        ]
        check_types(self.entry_point, *((str(kind).lower(), tuple(shape)) for kind, shape in tensors))
        return inferred

    def __call__(self, *inputs: Any) -> Any:
        """Run it, to its end: the framework reports a failure when somebody waits for the result, which may be far from here."""
        with kernel_errors():
            result = super().__call__(*inputs)
            _pynative_executor.sync()
        return result


class CpuCell(nn.Cell):
    """A cell around operators of `cpu`, whose refusals are `KernelError` where it is called itself, in graph mode too."""

    def __call__(self, *inputs: Any) -> Any:
        """Run it, to its end."""
        with kernel_errors():
            result = super().__call__(*inputs)
            _pynative_executor.sync()
        return result


def cpu(name: str, out_shape: Any, out_dtype: Any, bprop: Callable[..., Any] | None = None) -> ops.Custom:
    """The operator over the C entry point `thor_<name>`.

    `out_shape` and `out_dtype` are values, or functions of the inputs' shapes and dtypes; `bprop(*inputs, out, dout)` returns one gradient
    per input. The library is checked here, because MindSpore itself reports a missing file only at the first launch.
    """
    load_native()
    shape = _checked(name, out_shape) if callable(out_shape) else out_shape
    operator = _CpuOperator(f"{library_path()}:thor_{name}", shape, out_dtype, "aot", bprop=bprop)
    operator.entry_point = name
    operator.add_prim_attr("primitive_target", "CPU")  # on the host, also in a graph for another device
    return operator


def _checked(name: str, out_shape: Callable[..., Any]) -> Callable[..., Any]:
    """`out_shape`, where an input has fewer axes than it asks for too."""

    def shape(*inputs: Any) -> Any:
        try:
            return out_shape(*inputs)
        except IndexError as error:
            raise KernelError(name, Status.BAD_SHAPE) from error

    return shape


def dtypes(operation: str, place: int, *outputs: Any) -> Callable[..., Any]:
    """For `cpu`: what `outputs` are stored in, each a dtype, or `SAME` for that of input number `place`, the activations.

    Raises `TypeError` where the activations are float16.
    """

    def infer(*inputs: Any) -> Any:
        stored = element_type(inputs[place])
        refuse_float16(operation, stored)
        kinds = tuple(stored if output is SAME else output for output in outputs)
        return kinds if len(kinds) > 1 else kinds[0]

    return infer


def refuse_float16(operation: str, dtype: Any) -> None:
    """Raise `TypeError` for activations that no kernel for CPUs takes."""
    if dtype == ms.float16:
        raise TypeError(
            f"{operation}: the kernels for CPUs take float32 and bfloat16, not float16; use one of these, or set "
            "THOR_BACKEND=mindspore, whose operators take it"
        )


def element_type(dtype: Any) -> Any:
    """The dtype of a tensor's elements; inference passes the type of the tensor."""
    return dtype.element_type() if hasattr(dtype, "element_type") else dtype


def cpu_in_place(name: str, out_shape: Any, out_dtype: Any) -> ops.Custom:
    """As `cpu`, for an entry point that changes the parameters among its inputs.

    Marked as a side effect on memory: without that a graph drops it when its result is unused, merges two equal calls, and
    in a graph for a device does not copy the host's changes back.
    """
    operator = cpu(name, out_shape, out_dtype)
    operator.add_prim_attr("side_effect_mem", True)
    return operator


@contextmanager
def kernel_errors() -> Iterator[None]:
    """Inside, the framework's `... function(thor_x) is 4` becomes `KernelError` with the sentence that belongs to the code.

    Operators that are called themselves do it by themselves; this is for graphs that have them inside, and values: types and shapes are
    refused when the graph is compiled.
    """
    try:
        yield
    except RuntimeError as error:
        found = _FAILURE.search(str(error))
        if found is None or isinstance(error, KernelError):
            raise
        raise KernelError(found.group(1), int(found.group(2))) from error
