"""``load3dv1``: img2col while loading from L1.

L1 holds an image ``[C1][H][W][C0]``. Windows start at (left_top_h, left_top_w) and move by the strides, row by row; tap
(fh, fw) of a window at (row, column) is the pixel ``(row + fh * dilation_h, column + fw * dilation_w)``. A fractal holds 16
successive windows times C0 channels of one tap. ``repeat_mode`` 1 goes on to the next windows, 0 to the next taps and then
C1. Pixels in the padding are ``pad_value``; pixels beyond it are undefined.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import LimitError, UnavailableError
from ..machine import Machine
from .allocation import L0A, L0B, L1, UB
from .patterns import BLOCK_BYTES, FRACTAL_BYTES, Pattern, strided_pattern
from .table import Cost, Entry, Instruction, Integers, Plan, Unit, check_scopes, check_types

WINDOWS = 16
LIMITS: dict[str, tuple[int, int]] = {
    "l1_h": (1, 32767),
    "l1_w": (1, 32767),
    "c1_index": (0, 4095),
    "fetch_filter_w": (0, 254),
    "fetch_filter_h": (0, 254),
    "left_top_w": (-255, 32767),
    "left_top_h": (-255, 32767),
    "stride_w": (1, 63),
    "stride_h": (1, 63),
    "filter_w": (1, 255),
    "filter_h": (1, 255),
    "dilation_filter_w": (1, 255),
    "dilation_filter_h": (1, 255),
    "jump_offset": (1, 127),
    "repeat_mode": (0, 1),
    "repeat_time": (1, 255),
}


def _check(instruction: Instruction) -> None:
    check_scopes(instruction, {"src": (L1,), "dst": (L0A, L0B, UB)})
    check_types(instruction, [(t, t) for t in ("float16", "int8", "uint8")], ("dst", "src"))
    if instruction.switches["csize"] not in (0, None):
        raise instruction.fail(UnavailableError, f"csize {instruction.switches['csize']} is not modelled; only 0 is")


def _plan(instruction: Instruction, integers: Integers) -> Plan | None:
    for name, (low, high) in LIMITS.items():
        instruction.require(name, integers[name], low, high)
    if len(integers["pad"]) != 4:
        raise instruction.fail(LimitError, f"pad is [left, right, top, bottom]; it has {len(integers['pad'])} entries")
    for edge in integers["pad"]:
        instruction.require("pad", edge, 0, 255)
    channels = BLOCK_BYTES // np.dtype(instruction.tensors["src"].dtype).itemsize
    row, column, tap, c1 = fractals(instruction, integers)
    y, x, beyond = pixels(integers, row, column, tap)
    height, width = integers["l1_h"], integers["l1_w"]
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width) & ~beyond
    pixel = ((c1 * height + y) * width + x)[..., None] * channels + np.arange(channels)
    items = WINDOWS * channels
    source = Pattern(pixel[inside].reshape(1, -1)) if inside.any() else Pattern(np.zeros((1, 0), np.int64))
    patterns = {"src": source, "dst": strided_pattern(integers["repeat_time"], integers["jump_offset"] * items, items)}
    detail = {
        "inside": inside,
        "beyond": beyond,
        "channels": channels,
        "bursts": integers["repeat_time"],
        "bytes": integers["repeat_time"] * FRACTAL_BYTES,
    }
    alignment = {"src": BLOCK_BYTES, "dst": BLOCK_BYTES if instruction.tensors["dst"].scope == UB else FRACTAL_BYTES}
    return Plan(patterns, alignment, integers["repeat_time"] * FRACTAL_BYTES, integers=integers, detail=detail)


def _windows(size: int, before: int, after: int, taps: int, dilation: int, stride: int) -> int:
    return (size + before + after - ((taps - 1) * dilation + 1)) // stride + 1


def fractals(instruction: Instruction, integers: Integers) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Position (row, column of the window's start), tap and C1 of every row of every fractal, shape (repeat, 16) each.

    Windows move right by stride_w from left_top_w to the right padding, then start again at the left padding stride_h lower.
    """
    left, right, _, _ = integers["pad"]
    across = _windows(
        integers["l1_w"], left, right, integers["filter_w"], integers["dilation_filter_w"], integers["stride_w"]
    )
    first, rest = divmod(integers["left_top_w"] + left, integers["stride_w"])
    if across < 1:
        raise instruction.fail(LimitError, "the filter with its dilation is wider than the padded image")
    if rest or not 0 <= first < across:
        raise instruction.fail(
            LimitError,
            f"left_top_w is {integers['left_top_w']}; it must be a multiple of the stride from the left padding, inside the image",
        )
    repeat = np.arange(integers["repeat_time"])[:, None]
    moving = repeat if integers["repeat_mode"] == 1 else 0 * repeat
    window = first + moving * WINDOWS + np.arange(WINDOWS)[None, :]
    tap = integers["fetch_filter_w"] + integers["filter_w"] * integers["fetch_filter_h"]
    taps = tap + (repeat if integers["repeat_mode"] == 0 else 0 * repeat) + 0 * window
    per_channel = integers["filter_w"] * integers["filter_h"]
    row = integers["left_top_h"] + window // across * integers["stride_h"]
    column = window % across * integers["stride_w"] - left
    return row, column, taps % per_channel, integers["c1_index"] + taps // per_channel


def pixels(
    integers: Integers, row: np.ndarray, column: np.ndarray, tap: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pixel under each tap, and whether it lies beyond the padding, where the content is undefined."""
    _, _, top, bottom = integers["pad"]
    y = row + tap // integers["filter_w"] * integers["dilation_filter_h"]
    x = column + tap % integers["filter_w"] * integers["dilation_filter_w"]
    return y, x, (y < -top) | (y >= integers["l1_h"] + bottom)


def _run(unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]) -> None:
    inside, beyond, channels = plan.detail["inside"], plan.detail["beyond"], plan.detail["channels"]
    data, poison = unit.read(operands["src"], plan.patterns["src"])
    lanes = data.shape[0]
    full = np.full((lanes, *inside.shape, channels), instruction.switches["pad_value"], data.dtype)
    full[:, inside] = data.reshape(lanes, -1, channels)
    bad = None
    if poison is not None or beyond.any():
        bad = np.broadcast_to(beyond[None, :, :, None], full.shape).copy()
        if poison is not None:
            bad[:, inside] |= poison.reshape(poison.shape[0], -1, channels)
        bad = bad.reshape(lanes, *plan.patterns["dst"].shape)
    unit.write(operands["dst"], plan.patterns["dst"], full.reshape(lanes, *plan.patterns["dst"].shape), bad)


def _cycles(machine: Machine, instruction: Instruction, plan: Plan) -> Cost:
    rate = {L0A: "path.l1_l0a", L0B: "path.l1_l0b", UB: "path.l1_ub"}[instruction.tensors["dst"].scope]
    return plan.amount / machine[rate], machine["latency.load3d"]


def entries() -> list[Entry]:
    """load3dv1."""
    parameters = (
        "dst src pad l1_h l1_w c1_index fetch_filter_w fetch_filter_h left_top_w left_top_h stride_w stride_h filter_w filter_h "
        "dilation_filter_w dilation_filter_h jump_offset repeat_mode repeat_time csize=0 pad_value=0"
    )
    return [Entry("load3dv1", parameters, "MTE1", _plan, _run, _cycles, switches=("csize", "pad_value"), check=_check)]
