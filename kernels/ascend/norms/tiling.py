"""How the norms are cut for Ascend 910: rows dealt out to the cores, taken in batches that fit UB.

Cores get whole groups of 8 rows, so that two cores never share a 32-byte block of the fp32 mean and rstd.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from bert_thor.kernels.ascend.sizes import BLOCK_BYTES, FP32_LANES, FRACTAL_ITEMS, ITEM_BYTES, UB_BYTES

GROUP = 8  # rows
MAX_ROW_BLOCKS = 255  # repeat stride of a vector instruction
MAX_BATCH = 24  # rows; more would delay the first instruction and the last store, and gain little
SLOTS = 4  # sums in flight: one is added to while the others finish
TRACE_BYTES = (FRACTAL_ITEMS + FP32_LANES) * 4  # a fractal of sums, and its diagonal
VALUE_BYTES = 200  # statistics per row, at most


@dataclass(frozen=True)
class Tiling:
    """The cut of [rows, features] over `cores` cores.

    Attributes:
        batch: rows worked on at once, a multiple of 8.
        groups: groups of 8 rows, all cores together.
        ub_bytes: bytes of UB in use.
    """

    rows: int
    features: int
    cores: int
    batch: int
    groups: int
    ub_bytes: int


def fractals_per_row(features: int) -> int:
    """Matrices of 16 x 16 that a row fills, the last one perhaps in part."""
    return -(-features // FRACTAL_ITEMS)


def check_rows(name: str, x: dict[str, Any]) -> int:
    """Number of rows of a description; refuses types that the vector unit lacks."""
    if x["dtype"] not in ITEM_BYTES:
        raise ValueError(f"{name}: x is {x['dtype']}; Ascend 910 takes float16 and float32.")
    return prod(x["shape"][:-1])


def cut(name: str, rows: int, features: int, dtype: str, cores: int, row: int, fixed: int) -> Tiling:
    """The largest batch whose rows of `row` bytes fit beside `fixed` bytes.

    Raises:
        ValueError: no rows; rows that do not fill 32-byte blocks, or too many of them; 8 rows too many for UB.
    """
    per_block = BLOCK_BYTES // ITEM_BYTES[dtype]
    if rows < 1:
        raise ValueError(f"{name}: there are {rows} rows; it needs 1 at least.")
    if features % per_block or not per_block <= features <= MAX_ROW_BLOCKS * per_block:
        limit = MAX_ROW_BLOCKS * per_block
        raise ValueError(f"{name}: features is {features}; it takes multiples of {per_block} up to {limit}.")
    groups = -(-rows // GROUP)
    used_cores = min(cores, groups)
    fitting = (UB_BYTES - fixed) // row // GROUP * GROUP
    if fitting < GROUP:
        raise ValueError(
            f"{name}: {GROUP} rows of {features} {dtype} need {GROUP * row + fixed} bytes of UB; the chip has {UB_BYTES}; "
            "give the kernel fewer features."
        )
    batch = min(fitting, MAX_BATCH, -(-groups // used_cores) * GROUP)
    return Tiling(rows, features, used_cores, batch, groups, batch * row + fixed)
