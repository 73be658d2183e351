"""Short kernels of CANN, of at most 300 lines, that compute something on Ascend 910, in the order of the blind sample's hashes."""

from __future__ import annotations

import numpy as np
from foreign_arithmetic import wide
from foreign_cases import Case, case, described, numbers, simple


@case
def tensor_redirect() -> Case:
    """One block is copied; the output declares 64 numbers."""
    x = numbers(1, 64, dtype="float32")
    y = np.ma.masked_array(x, np.arange(64) >= 8)
    return Case("tensor_redirect", [described(x), described(y)], [x], [y])


@case
def strided_slice_only_last_dim() -> Case:
    x = numbers(2, 40, 100)
    sizes = {"input_shape": [40, 100], "dtype": "float16", "output_shape": [40, 80], "begin": [0, 10]}
    return Case("strided_slice_only_last_dim", [], [x], [x[:, 10:90]], sizes)


@case
def img_warp_resize() -> Case:
    """Four neighbours of each pixel, weighted by the fractions of its place."""
    near, place = (
        numbers(3, 1, 4, 3, 32, 40, dtype="float32"),
        numbers(4, 1, 2, 32, 40, low=0, high=30, dtype="float32"),
    )
    x, y = (part[:, None] for part in (wide(place) - np.floor(wide(place))).transpose(1, 0, 2, 3))
    top, bottom = (wide(near[:, i]) + (wide(near[:, i + 1]) - near[:, i]) * x for i in (0, 2))
    return simple("img_warp_resize", [near, place], [(top + (bottom - top) * y).astype(np.float32)], error=1e-5)
