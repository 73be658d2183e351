"""``col2img``: the reverse of ``load3dv1``. Each window's value is added to the pixel from which its tap came."""

from __future__ import annotations

from typing import Any

import numpy as np

from .allocation import UB
from .load3d import WINDOWS, fractals, pixels
from .patterns import BLOCK_BYTES, Pattern, strided_pattern
from .table import Entry, Instruction, Integers, Plan, Unit, check_scopes, check_types, join
from .vector import repeat_of, vector_cycles

CHANNELS = 16


def _check(instruction: Instruction) -> None:
    check_scopes(instruction, {"dst": (UB,), "src": (UB,)})
    check_types(instruction, [("float16", "float16"), ("float32", "float32")], ("dst", "src"))


def _plan(instruction: Instruction, integers: Integers) -> Plan | None:
    repeat = repeat_of(instruction, integers)
    if repeat == 0:
        return None
    image = {**integers, "repeat_time": repeat, "repeat_mode": 1, "c1_index": 0}
    row, column, tap, _ = fractals(instruction, image)
    y, x, _ = pixels(image, row, column, tap)
    inside = (y >= 0) & (y < integers["l1_h"]) & (x >= 0) & (x < integers["l1_w"])
    pixel = (y * integers["l1_w"] + x)[inside][:, None] * CHANNELS + np.arange(CHANNELS)
    items = WINDOWS * CHANNELS
    patterns = {"dst": Pattern(pixel.reshape(1, -1)), "src": strided_pattern(repeat, items, items)}
    detail = {"inside": inside}
    return Plan(patterns, {"dst": BLOCK_BYTES, "src": BLOCK_BYTES}, 2 * repeat, integers=integers, detail=detail)


def _run(unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]) -> None:
    inside = plan.detail["inside"]
    data, bad_data = unit.read(operands["src"], plan.patterns["src"])
    image, bad_image = unit.read(operands["dst"], plan.patterns["dst"])
    added, bad_added = (None if x is None else _kept(x, inside) for x in (data, bad_data))
    unit.write(operands["dst"], plan.patterns["dst"], image + added, join(bad_image, bad_added))


def _kept(columns: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The windows that lie inside the image, as (lanes, 1, windows x channels)."""
    windows = columns.reshape(columns.shape[0], *inside.shape, CHANNELS)
    return windows[:, inside].reshape(columns.shape[0], 1, -1)


def entries() -> list[Entry]:
    """col2img."""
    parameters = (
        "dst src pad l1_h l1_w fetch_filter_w fetch_filter_h left_top_w left_top_h stride_w stride_h filter_w filter_h "
        "dilation_filter_w dilation_filter_h repeat_times"
    )
    return [Entry("col2img", parameters, "V", _plan, _run, vector_cycles("vadd"), reads=("src", "dst"), check=_check)]
