"""``conv2d`` of TIK 1.5: windows of an image in L1, times weights in L1, into L0C."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, LimitError, UnavailableError, caller_location
from .cube_tiles import ROWS, Product, check_operands, multiply
from .tensors import Builder, Tensor

MAX_LOAD = 255


def conv2d(
    tik: Builder,
    dst: Tensor,
    feature_map: Tensor,
    weight: Tensor,
    fm_shape: Sequence[int],
    kernel_shape: Sequence[int],
    stride: Sequence[int],
    pad: Sequence[int],
    dilation: Sequence[int],
    pad_value: float = 0,
    init_l1out: bool = True,
    bias: Tensor | None = None,
) -> None:
    """dst[Cout / 16, round16(Ho Wo), 16] = windows of feature_map[C1, H, W, C0] x weight[C1, Kh, Kw, Cout, C0].

    Args:
        tik: the kernel.
        dst: in L0C, float32 or int32; added to when ``init_l1out`` is False.
        feature_map, weight: in L1, float16 or int8.
        fm_shape: (C1, H, W, C0).
        kernel_shape: (C1, Kh, Kw, Cout, C0).
        stride: (vertical, horizontal).
        pad: (left, right, top, bottom).
        dilation: (vertical, horizontal).
        pad_value: what the padding holds.
        init_l1out: overwrite ``dst``.
        bias: not on Ascend 910.
    """
    where = caller_location()
    if bias is not None:
        raise UnavailableError("conv2d with a bias is not on Ascend 910; add it with fixpipe", where)
    check_operands("conv2d", dst, feature_map, weight, where)
    (c1, height, width, c0), (weight_c1, taps_h, taps_w, channels, weight_c0) = fm_shape, kernel_shape
    k0 = 32 // np.dtype(weight.dtype).itemsize
    if (weight_c1, weight_c0, c0) != (c1, c0, k0):
        raise ArgumentError(
            f"conv2d: an image {tuple(fm_shape)} and weights {tuple(kernel_shape)} of {weight.dtype}; both have the same C1, "
            f"and C0 {k0}",
            where,
        )
    extents = (height + pad[2] + pad[3], width + pad[0] + pad[1])
    high, wide = ((e - ((t - 1) * d + 1)) // s + 1 for e, t, d, s in zip(extents, (taps_h, taps_w), dilation, stride))
    if high < 1 or wide < 1:
        raise LimitError("conv2d: the filter with its dilation is larger than the padded image", where)

    def load(left: Tensor, first_row: int, rows: int, first: Any, blocks: int) -> None:
        tap = first % (taps_h * taps_w)
        for row in range(rows):
            down, right = divmod((first_row + row) * ROWS, wide)
            for part in range(0, blocks, MAX_LOAD):
                inner = tap + part
                tik.load3dv1(
                    left[(row * blocks + part) * ROWS * k0], feature_map, pad, height, width,
                    first // (taps_h * taps_w) + inner // (taps_h * taps_w),
                    inner % (taps_h * taps_w) % taps_w, inner % (taps_h * taps_w) // taps_w,
                    right * stride[1] - pad[0], down * stride[0] - pad[2], stride[1], stride[0],
                    taps_w, taps_h, dilation[1], dilation[0], 1, 0, min(MAX_LOAD, blocks - part), 0, pad_value,
                )  # fmt: skip

    multiply(tik, Product(dst, weight, load, high * wide, c1 * taps_h * taps_w * k0, channels, init_l1out))
