"""What the TIK kernels share: CANN found by either of its names, checks, fills, results of the cube as rows.

Nothing here imports CANN when the file is loaded, so a kernel file imports anywhere, as often as MindSpore likes.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from bert_thor.kernels.ascend.sizes import FRACTAL, ITEM_BYTES, MAX_REPEATS, REPEAT_BYTES


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


def check_float32(operation: str, **tensors: dict[str, Any]) -> None:
    """Refuse descriptions of tensors, by name, that are not float32."""
    for name, tensor in tensors.items():
        if tensor["dtype"] != "float32":
            raise ValueError(f"{operation}: {name} is {tensor['dtype']}; it must be float32.")


def repeats(count: int, limit: int = MAX_REPEATS) -> Iterator[tuple[int, int]]:
    """(first, number) of the instructions that cover `count` repeats."""
    for first in range(0, count, limit):
        yield first, min(limit, count - first)


def fill(t: Any, tensor: Any, value: float, elements: int | None = None) -> None:
    """Set the first `elements` numbers of a UB tensor, all without it, to `value`. They are whole blocks of 32 bytes."""
    per_repeat = REPEAT_BYTES // ITEM_BYTES[tensor.dtype]
    if elements is None:
        elements = prod(map(int, tensor.shape))
    whole, rest = divmod(elements, per_repeat)
    for first, number in repeats(whole):
        t.vector_dup(per_repeat, tensor[first * per_repeat], value, number, 1, 8)
    if rest:
        t.vector_dup(rest, tensor[whole * per_repeat], value, 1, 1, 8)


def fractals_to_rows(t: Any, source: Any, height: int, shape: tuple[int, int], factor: Any) -> Any:
    """A new fp32 tensor [m, n] in UB: `factor` times a part of the cube's result, which L0C holds as columns of `height` fractals.

    `source` is the part's first fractal. On the way its columns lie two blocks apart from a power of two in UB, so that what an
    instruction reads of all of them falls into different banks.
    """
    tik, (m, n) = tik_module(), shape
    pitch, m1, n1 = 2 * m + 2, m // FRACTAL, n // FRACTAL
    columns = t.Tensor("float32", (n1, pitch, 8), name="columns", scope=tik.scope_ubuf)
    rows = t.Tensor("float32", (m, n), name="rows", scope=tik.scope_ubuf)
    t.data_move(columns, source, 0, n1, m1, height - m1, 2)
    for half in range(2):
        t.vmuls(8 * n1, rows[8 * half], columns[8 * half], factor, m, 2, pitch, 2 * n1, 2)
    return rows
