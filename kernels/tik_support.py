"""What the TIK kernels share: CANN found by either of its names, registration with MindSpore where it is installed, fills.

Nothing here imports CANN or MindSpore when the file is loaded, so a kernel file imports anywhere, as often as MindSpore likes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable

BLOCK_BYTES, REPEAT_BYTES, MAX_REPEATS = 32, 256, 255
ITEM_BYTES = {"float16": 2, "float32": 4}


def tik_module() -> Any:
    """CANN's `tik`: `tbe.tik` since CANN 5, `te.tik` before."""
    try:
        from tbe import tik
    except ImportError:
        from te import tik
    return tik


def core_count() -> int:
    """AI cores of the chip that is compiled for: 32 or 30."""
    try:
        from tbe.common.platform import get_soc_spec
    except ImportError:
        from te.platform.cce_conf import get_soc_spec
    return int(get_soc_spec("CORE_NUM"))


def register(
    name: str, attributes: dict[str, str], formats: list[list[str]], inputs: list[str], outputs: list[str]
) -> Any:
    """Decorator that registers a kernel function as MindSpore's TBE operator `name`; without MindSpore it does nothing.

    `attributes` maps names to types ("int", "float"); `formats` lists, per choice, one DataType name for every input and
    output ("F16_Default"). The fusion type is OPAQUE: nothing may be fused into a TIK kernel.
    """
    try:
        from mindspore.ops import DataType, TBERegOp, op_info_register
    except ImportError:
        return lambda function: function

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        info = TBERegOp(name).fusion_type("OPAQUE").async_flag(False).binfile_name(f"{function.__name__}.so")
        info = info.compute_cost(10).kernel_name(function.__name__).partial_flag(True)
        for attribute, kind in attributes.items():
            info = info.attr(attribute, "required", kind, "all")
        for index, tensor in enumerate(inputs):
            info = info.input(index, tensor, False, "required", "all")
        for index, tensor in enumerate(outputs):
            info = info.output(index, tensor, False, "required", "all")
        for choice in formats:
            info = info.dtype_format(*[getattr(DataType, kind) for kind in choice])
        registered: Callable[..., None] = op_info_register(info.get_op_info())(function)
        return registered

    return decorate


def repeats(count: int, limit: int = MAX_REPEATS) -> Iterator[tuple[int, int]]:
    """(first, number) of the instructions that cover `count` repeats."""
    for first in range(0, count, limit):
        yield first, min(limit, count - first)


def fill(t: Any, tensor: Any, value: float) -> None:
    """Set every element of a UB tensor to `value`. The tensor is a whole number of 32-byte blocks."""
    per_repeat = REPEAT_BYTES // ITEM_BYTES[tensor.dtype]
    elements = 1
    for extent in tensor.shape:
        elements *= int(extent)
    whole, rest = divmod(elements, per_repeat)
    for first, number in repeats(whole):
        t.vector_dup(per_repeat, tensor[first * per_repeat], value, number, 1, 8)
    if rest:
        t.vector_dup(rest, tensor[whole * per_repeat], value, 1, 1, 8)
