"""Kernels for Ascend 910 as MindSpore operators: `Custom` with types, formats and attributes registered."""

from __future__ import annotations

import json
from typing import Any, Callable

import mindspore as ms
from mindspore import ops

from bert_thor.kernels.ascend.registration import Registration
from bert_thor.ops import thor_tbe_kernels

TARGET = "Ascend"


def describe(registration: Registration) -> dict[str, Any]:
    """MindSpore's registration information; OPAQUE, so that nothing is fused into a hand-written kernel."""
    info = ops.CustomRegOp(registration.name).fusion_type("OPAQUE")
    for name, kind in registration.attributes.items():
        info = info.attr(name, "required", kind)
    for index, name in enumerate(registration.inputs):
        info = info.input(index, name)
    for index, name in enumerate(registration.outputs):
        info = info.output(index, name)
    for choice in registration.formats:
        info = info.dtype_format(*[getattr(ms.ops.DataType, kind) for kind in choice])
    described: dict[str, Any] = info.target(TARGET).get_op_info()
    return described


def tbe(function: str, out_shape: Any, out_dtype: Any, **attributes: Any) -> ops.Custom:
    """The operator over a kernel of `thor_tbe_kernels`, its attributes built in. It has no gradient of its own."""
    kernel = getattr(thor_tbe_kernels, function)
    operator = ops.Custom(kernel, out_shape, out_dtype, "tbe", reg_info=describe(kernel.registration))
    for name in kernel.registration.attributes:
        operator.add_prim_attr(name, attributes[name])
    operator.add_prim_attr("input_names", kernel.registration.inputs)  # Custom would take the attributes as inputs
    return operator


def akg(
    function: Callable[..., Any],
    registration: Registration,
    out_shape: Callable[..., Any],
    out_dtype: Any,
    dim: Callable[..., str] | None = None,
) -> ops.Custom:
    """The operator over a function of an akg.py, all of whose arguments are tensors. It has no gradient of its own.

    `dim(*input shapes)` are AKG's tiles. They depend on the shapes, which only inference knows: it stores them as the
    attribute in which MindSpore passes options to AKG. So every place in a network needs an operator of its own.
    """

    def infer(*shapes: Any) -> Any:
        if dim is not None:
            operator.add_prim_attr("func_compile_attrs", json.dumps({"dim": dim(*shapes)}))
        return out_shape(*shapes)

    operator = ops.Custom(function, infer, out_dtype, "akg", reg_info=describe(registration))
    return operator
