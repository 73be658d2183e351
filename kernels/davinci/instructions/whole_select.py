"""``h_cmpv`` and ``h_sel`` of TIK 1.5: a mask with one bit per element, and choosing by it.

The bits lie packed at the mask tensor's start, as ``vec_cmpv`` stores them; TIK's own layout is not public, and a kernel
cannot see it.
"""

from __future__ import annotations

from typing import Any, Callable

from ..errors import ArgumentError, DataTypeError, caller_location
from .allocation import UB
from .compare import COMPARISONS, FLOATS
from .tensors import Builder, Tensor
from .whole_parts import BLOCK_BYTES, filled, parts_of, same_length, stride_of, width_of

BITS = 8


def h_cmpv(tik: Builder, mask_tensor: Tensor, src0: Any, src1: Any, cmp_mode: str) -> None:
    """A bit of the mask per element: src0 ``cmp_mode`` src1. One of the two may be a number.

    Args:
        tik: the kernel.
        mask_tensor: a bool tensor with as many elements.
        src0, src1: float16 or float32.
        cmp_mode: "LT", "LE", "GT", "GE", "EQ" or "NE".
    """
    if str(cmp_mode).lower() not in COMPARISONS:
        modes = ", ".join(c.upper() for c in COMPARISONS)
        raise ArgumentError(f"h_cmpv: cmp_mode is {cmp_mode!r}; it is one of {modes}", caller_location())
    given, count = _operands("h_cmpv", mask_tensor, (src0, src1))
    width = width_of(*given)
    bits = _bits(mask_tensor)
    with tik.new_stmt_scope():
        sources = [s if isinstance(s, Tensor) else filled(tik, given[0].dtype, width, s) for s in (src0, src1)]
        moving = [isinstance(s, Tensor) for s in (src0, src1)]
        strides = [stride_of(width, s) if moves else 0 for s, moves in zip(sources, moving)]
        for mask, first, repeats in parts_of(count, width):
            operands = [s[first] if moves else s for s, moves in zip(sources, moving)]
            if mask == width:
                tik.emit(f"vec_cmpv_{cmp_mode.lower()}", (bits[first // BITS], *operands, repeats, *strides), {})
            else:
                _compare_rest(tik, cmp_mode.lower(), bits[first // BITS], operands, mask, width)


def _operands(name: str, mask_tensor: Tensor, sources: tuple[Any, Any], *others: Tensor) -> tuple[list[Tensor], int]:
    """The sources that are tensors, and how many elements everything has."""
    given = [s for s in sources if isinstance(s, Tensor)]
    if not given:
        raise ArgumentError(f"{name}: one of the two sources is a tensor", caller_location())
    types = {t.dtype for t in (*given, *others)}
    if len(types) > 1 or given[0].dtype not in FLOATS or mask_tensor.dtype != "int8":
        raise DataTypeError(
            f"{name} takes a bool mask and tensors of one of {', '.join(FLOATS)}, not {mask_tensor.dtype} and "
            f"{', '.join(sorted(types))}",
            caller_location(),
        )
    return given, same_length(name, mask_tensor, *given, *others)


def _bits(mask_tensor: Tensor) -> Tensor:
    return mask_tensor.reinterpret_cast_to("uint8").flatten()


def _compare_rest(tik: Builder, mode: str, bits: Tensor, operands: list[Tensor], count: int, width: int) -> None:
    """The last elements, which are no whole repeat: compared in copies that are, the bytes of the mask moved one by one."""
    with tik.new_stmt_scope():
        copies = []
        for operand in operands:
            copy = filled(tik, operand.dtype, width, 0.0)
            tik.vadds(count, copy, operand, 0.0, 1, 1, 1, 8, 8)
            copies.append(copy)
        found = tik.Tensor("uint8", (BLOCK_BYTES,), scope=UB, name="mask")
        tik.emit(f"vec_cmpv_{mode}", (found, *copies, 1, 8, 8), {})
        for byte in range(-(-count // BITS)):
            bits[byte].set_as(found[byte])


def h_sel(tik: Builder, dst: Tensor, src0: Any, src1: Any, mask_tensor: Tensor) -> None:
    """Dst = src0 where the mask's bit is 1, src1 where it is 0. One of the two may be a number."""
    _, count = _operands("h_sel", mask_tensor, (src0, src1), dst)
    width, bits = width_of(dst), _bits(mask_tensor)
    whole, rest = divmod(count, width)
    with tik.new_stmt_scope():
        sources = [s if isinstance(s, Tensor) else filled(tik, dst.dtype, width, s) for s in (src0, src1)]
        moving = [isinstance(s, Tensor) for s in (src0, src1)]

        def select(lanes: int, first: Any) -> None:
            operands = [s[first] if moves else s for s, moves in zip(sources, moving)]
            tik.emit("vec_sel", (lanes, 0, dst[first], bits[first // BITS], *operands, 1, 8, 8, 8), {})

        if whole:
            with tik.for_range(0, whole) as i:  # one mask serves all repeats of an instruction
                select(width, i * width)
        if rest:
            select(rest, whole * width)


SELECT: dict[str, Callable[..., Any]] = {"h_cmpv": h_cmpv, "h_sel": h_sel}
