"""Calls that TIK itself builds from several instructions, and names that Ascend 910 does not have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

import numpy as np

from ..errors import ArgumentError, DataTypeError, LimitError, UnavailableError, caller_location
from .compare import COMPARISONS
from .convolution import conv2d
from .expressions import Expression, call, cast
from .matmul import fixpipe, matmul
from .tensors import Builder, Scalar, Tensor
from .whole import WHOLE

MAX_REPEAT = 255
F32_PER_REPEAT, BLOCK_BYTES = 64, 32
MAX_REDUCE_REPEAT = 4095
SCALAR_ROUNDINGS = {
    "round": "round",
    "away-zero": "away-zero",
    "floor": "floor",
    "ceil": "ceil",
    "ceiling": "ceil",
    "to-zero": "to-zero",
}


def _per_repeat(dtype: str) -> int:
    return 256 // np.dtype(dtype).itemsize


def _immediate(value: Any, what: str) -> int:
    if isinstance(value, Expression):
        raise UnavailableError(f"{what} is a scalar; only Python integers are modelled here", caller_location())
    return int(value)


def vec_reduce_add(
    tik: Builder, mask: Any, dst: Tensor, src: Tensor, work_tensor: Tensor, repeat_times: Any, src_rep_stride: int
) -> None:
    """Sum of everything into dst[0]: vcadd per repeat into the work tensor, then vcadd over that until one number is left."""
    repeats = _immediate(repeat_times, "repeat_times")
    if not 1 <= repeats <= MAX_REDUCE_REPEAT:
        raise LimitError(
            f"vec_reduce_add: repeat_times is {repeats}; it is 1 to {MAX_REDUCE_REPEAT}", caller_location()
        )
    width = _per_repeat(src.dtype)
    per_block = BLOCK_BYTES // np.dtype(src.dtype).itemsize
    chunk = MAX_REPEAT + 1 - per_block
    for first in range(0, repeats, chunk):
        count = min(chunk, repeats - first)
        tik.vcadd(mask, work_tensor[first], src[first * src_rep_stride * per_block], count, 1, 1, src_rep_stride)
    count = repeats
    while count > width:
        whole, rest = divmod(count, width)
        tik.vcadd(width, work_tensor, work_tensor, whole, 1, 1, 8)
        if rest:
            tik.vcadd(rest, work_tensor[whole], work_tensor[whole * width], 1, 1, 1, 8)
        count = whole + (rest > 0)
    tik.vcadd(count, dst, work_tensor, 1, 1, 1, 8)


def _halves(mask: Any) -> list[tuple[int, Any]]:
    """A 128-element mask as masks of its two halves: (first element, mask) of each that is not empty."""
    if isinstance(mask, (list, tuple)):
        return [(start, [0, word]) for start, word in ((0, mask[1]), (F32_PER_REPEAT, mask[0])) if word]
    count = _immediate(mask, "mask")
    parts = [(0, min(count, F32_PER_REPEAT)), (F32_PER_REPEAT, count - F32_PER_REPEAT)]
    return [(start, n) for start, n in parts if n > 0]


def _work_unit(mask: Any, repeats: int, stride: int, dtype: str) -> int:
    """Elements of the work tensor that one intermediate takes."""
    per_block = BLOCK_BYTES // np.dtype(dtype).itemsize
    length = _per_repeat(dtype) if isinstance(mask, (list, tuple)) else int(mask)
    return -(-((repeats - 1) * stride * per_block + length) // per_block) * per_block


def _require_work(name: str, work: Tensor, needed: int) -> None:
    if work.dtype != "float32":
        raise DataTypeError(f"{name}: the work tensor is float32, not {work.dtype}", caller_location())
    if isinstance(work.offset, int) and work.allocation.size - work.offset < needed:
        raise LimitError(
            f"{name}: the work tensor has {work.allocation.size - work.offset} elements; this call needs {needed}",
            caller_location(),
        )


def _newton_reciprocal(
    tik: Builder, mask: Any, dst: Tensor, src: Tensor, work: Sequence[Tensor], repeats: int, strides: Sequence[int]
) -> None:
    """dst = 1 / src by two Newton steps r = r (2 - src r) from the table's r; strides are of dst, src and work."""
    guess, step = work
    to, source, inner = strides
    tik.vec_rec(mask, guess, src, repeats, inner, source)
    for last in (False, True):
        tik.vec_mul(mask, step, src, guess, repeats, inner, source, inner)
        tik.vec_muls(mask, step, step, -1.0, repeats, inner, inner)
        tik.vec_adds(mask, step, step, 2.0, repeats, inner, inner)
        result, stride = (dst, to) if last else (guess, inner)
        tik.vec_mul(mask, result, guess, step, repeats, stride, inner, inner)


def _in_single_precision(
    tik: Builder,
    mask: Any,
    dst: Tensor,
    src: Tensor,
    work: Sequence[Tensor],
    repeats: int,
    strides: tuple[int, int],
    compute: Callable[[Any, Tensor, Tensor, Sequence[Tensor]], None],
) -> None:
    """Cast float16 to float32 in halves of 64 lanes, compute there, and cast back."""
    wide, *rest = work
    for start, half in _halves(mask):
        tik.vconv(half, "none", wide, src[start], repeats, 1, 1, 8, strides[1])
        compute(half, wide, wide, rest)
        tik.vconv(half, "none", dst[start], wide, repeats, 1, 1, strides[0], 8)


def _high_precision(
    tik: Builder,
    name: str,
    mask: Any,
    dst: Tensor,
    src: Tensor,
    work_tensor: Tensor,
    repeat_times: Any,
    dst_rep_stride: int,
    src_rep_stride: int,
    units: tuple[int, int],
    with_root: bool,
) -> None:
    repeats = _immediate(repeat_times, "repeat_times")
    if src.dtype != dst.dtype or src.dtype not in ("float16", "float32"):
        raise DataTypeError(
            f"{name}: dst and src are both float16 or both float32, not {dst.dtype}, {src.dtype}", caller_location()
        )
    unit = _work_unit(mask, repeats, src_rep_stride, src.dtype)
    needed = units[src.dtype == "float16"] * unit
    _require_work(name, work_tensor, needed)
    if src.dtype == "float32":
        parts = [work_tensor[i * unit :] for i in range(units[0])]
        source, stride = src, src_rep_stride
        if with_root:
            tik.vsqrt(mask, parts[2], src, repeats, 1, 1, src_rep_stride, src_rep_stride)
            source = parts[2]
        _newton_reciprocal(tik, mask, dst, source, parts[:2], repeats, (dst_rep_stride, stride, src_rep_stride))
        return

    def compute(half: Any, out: Tensor, value: Tensor, work: Sequence[Tensor]) -> None:
        if with_root:
            tik.vsqrt(half, value, value, repeats, 1, 1, 8, 8)
        _newton_reciprocal(tik, half, out, value, work, repeats, (8, 8, 8))

    size = repeats * F32_PER_REPEAT
    _require_work(name, work_tensor, 3 * size)
    parts = [work_tensor[i * size :] for i in range(3)]
    _in_single_precision(tik, mask, dst, src, parts, repeats, (dst_rep_stride, src_rep_stride), compute)


def vec_rec_high_preci(
    tik: Builder,
    mask: Any,
    dst: Tensor,
    src: Tensor,
    work_tensor: Tensor,
    repeat_times: Any,
    dst_rep_stride: int,
    src_rep_stride: int,
) -> None:
    """1 / src by vec_rec and two Newton steps; the work tensor holds 2 (float32) or 4 (float16) intermediates."""
    _high_precision(
        tik,
        "vec_rec_high_preci",
        mask,
        dst,
        src,
        work_tensor,
        repeat_times,
        dst_rep_stride,
        src_rep_stride,
        (2, 4),
        False,
    )


def vec_rsqrt_high_preci(
    tik: Builder,
    mask: Any,
    dst: Tensor,
    src: Tensor,
    work_tensor: Tensor,
    repeat_times: Any,
    dst_rep_stride: int,
    src_rep_stride: int,
) -> None:
    """1 / sqrt(src): vsqrt, then vec_rec_high_preci; 3 (float32) or 5 (float16) intermediates."""
    _high_precision(
        tik,
        "vec_rsqrt_high_preci",
        mask,
        dst,
        src,
        work_tensor,
        repeat_times,
        dst_rep_stride,
        src_rep_stride,
        (3, 5),
        True,
    )


def vec_ln_high_preci(
    tik: Builder,
    mask: Any,
    dst: Tensor,
    src: Tensor,
    work_tensor: Tensor,
    repeat_times: Any,
    dst_rep_stride: int,
    src_rep_stride: int,
) -> None:
    """ln(src): on Ascend 910 the plain vln."""
    tik.vec_ln(mask, dst, src, repeat_times, dst_rep_stride, src_rep_stride)


def _compare(name: str) -> Callable[..., Tensor]:
    def compare(
        tik: Builder, mask: Any, src0: Tensor, src1: Tensor, src0_blk_stride: int = 1, src1_blk_stride: int = 1
    ) -> Tensor:
        tik.emit(f"vcmp_{name}", (tik.compare_mask, mask, src0, src1, src0_blk_stride, src1_blk_stride), {})
        return tik.compare_mask

    return compare


def mov_tensor_to_cmpmask(tik: Builder, src: Tensor) -> Tensor:
    """Load the compare-mask register from UB; the result stands for it in vsel."""
    tik.emit("mov_tensor_to_cmpmask", (tik.compare_mask, src), {})
    return tik.compare_mask


def vsel(tik: Builder, *arguments: Any, **keywords: Any) -> None:
    """Select by mask; with block strides (13 arguments) or, as vec_sel, without."""
    full = len(arguments) + len(keywords) > 10 or any("blk_stride" in k for k in keywords)
    tik.emit("vsel" if full else "vec_sel", arguments, keywords)


def scalar_conv(tik: Builder, round_mode: str, dst: Scalar, src: Any) -> Any:
    """The expression for ``scalar_conv``: float to int rounds as named, everything else converts to the nearest."""
    source = src.dtype if isinstance(src, Expression) else "float32"
    if source == "float32" and dst.dtype == "int32":
        if round_mode not in SCALAR_ROUNDINGS:
            raise ArgumentError(
                f"scalar_conv: float32 to int32 has the modes {', '.join(SCALAR_ROUNDINGS)}; not {round_mode!r}",
                caller_location(),
            )
        return cast(call(SCALAR_ROUNDINGS[round_mode], src, dtype="float32"), "int32")
    if (source, dst.dtype) not in (("int32", "float32"), ("float16", "float32"), ("float32", "float16")):
        raise DataTypeError(f"scalar_conv does not convert {source} to {dst.dtype}", caller_location())
    return cast(src, dst.dtype)


def vrpac(tik: Builder, dst: Tensor, src: Tensor, repeat_times: Any) -> None:
    """Areas of proposals."""
    tik.emit("vrpac", (dst, src, repeat_times, tik.box_offset), {})


def viou(tik: Builder, dst: Tensor, src0: Tensor, src1: Tensor, repeat_times: Any) -> None:
    """Areas that pairs of proposals share."""
    tik.emit("viou", (dst, src0, src1, repeat_times, tik.box_offset), {})


def rpn_cor(
    tik: Builder, src0: Tensor, src1: Tensor, src0_rep_stride: Any, src1_rep_stride: Any, repeat_times: Any
) -> Tensor:
    """Gather what earlier groups suppress in the register, which the result stands for."""
    tik.emit("rpn_cor", (tik.suppressed, src0, src1, src0_rep_stride, src1_rep_stride, repeat_times), {})
    return tik.suppressed  # type: ignore[no-any-return]


def set_rpn_cor_ir(tik: Builder, number: Any) -> Tensor:
    """Set the register of suppressed proposals."""
    tik.emit("set_register", (tik.suppressed, number), {})
    return tik.suppressed  # type: ignore[no-any-return]


def set_rpn_offset(tik: Builder, offset: Any, offset_dtype: str = "float16") -> None:
    """Set what viou and vrpac add to widths and heights (1 at the start)."""
    tik.emit("set_register", (tik.box_offset, offset), {})


COMPOSITES: dict[str, Callable[..., Any]] = {
    "vec_reduce_add": vec_reduce_add,
    "vec_rec_high_preci": vec_rec_high_preci,
    "vec_rsqrt_high_preci": vec_rsqrt_high_preci,
    "vec_ln_high_preci": vec_ln_high_preci,
    **{f"vcmp_{name}": _compare(name) for name in COMPARISONS},
    "mov_tensor_to_cmpmask": mov_tensor_to_cmpmask,
    "vsel": vsel,
    "scalar_conv": scalar_conv,
    "vrpac": vrpac,
    "viou": viou,
    "rpn_cor": rpn_cor,
    "set_rpn_cor_ir": set_rpn_cor_ir,
    "set_rpn_offset": set_rpn_offset,
    **WHOLE,
    "conv2d": conv2d,
    "matmul": matmul,
    "fixpipe": fixpipe,
}

NOT_ON_ASCEND_910 = (
    "load2dv2",
    "load3dv2",
    "vmaxs",
    "vmins",
    "vshl",
    "vshr",
    "vlrelu",
    "vci",
    "vgather",
    "vreduce",
    "vcopy",
    "vbrcb",
    "vaddrelu",
    "vsubrelu",
    "vmulconv",
    "vaddreluconv",
    "data_move_pad",
    *(f"vcmpvs_{name}" for name in COMPARISONS),
)
