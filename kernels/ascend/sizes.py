"""Sizes of Ascend 910's cores and instructions, by which the tilings and kernels for TIK and AKG cut their problems."""

from __future__ import annotations

CORES = 32  # that an AKG kernel is cut for; a TIK kernel asks (`tik_support.core_count`)
UB_BYTES, L1_BYTES = 256 * 1024, 1024 * 1024
L0_BYTES, L0C_BYTES = 64 * 1024, 256 * 1024  # of L0A and of L0B each; of L0C
FRACTAL = 16  # edge of the matrices that the cube multiplies
FRACTAL_ITEMS = FRACTAL * FRACTAL
BLOCK_BYTES, REPEAT_BYTES, MAX_REPEATS = 32, 256, 255
FP32_LANES = 64  # fp32 numbers of one repeat
ITEM_BYTES = {"float16": 2, "float32": 4}


def round_up(n: int, unit: int) -> int:
    """The smallest multiple of `unit` that is not below n."""
    return -(-n // unit) * unit
