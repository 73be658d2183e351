"""The kernels of https://github.com/Ascend/samples, cplusplus/level1_single_api/4_op_dev/1_custom_op."""

from __future__ import annotations

import numpy as np
from foreign_arithmetic import HALF, wide
from foreign_cases import Array, Case, case, described, numbers, to_nc1hwc0

FOLDER = "1_custom_op/tbe/impl"


def convolution(x: Array, weight: Array) -> Array:
    """3 x 3, stride 1, one pixel of padding, NCHW."""
    n, _, h, w = x.shape
    padded = np.pad(wide(x), ((0, 0), (0, 0), (1, 1), (1, 1)))
    y = np.zeros((n, len(weight), h, w))
    for i in range(3):
        for j in range(3):
            y += np.einsum("nchw,oc->nohw", padded[:, :, i : i + h, j : j + w], wide(weight)[:, :, i, j])
    return y


@case
def sample_conv2d() -> Case:
    x, weight = numbers(0, 2, 32, 8, 8), numbers(1, 128, 32, 3, 3)
    y = convolution(x, weight).astype(np.float16)
    tiles = weight.reshape(128, 2, 16, 3, 3).transpose(1, 3, 4, 0, 2).copy()
    arguments = [
        described(to_nc1hwc0(x), "NC1HWC0"), described(tiles, "FRACTAL_Z", weight.shape, "NCHW"),
        described(to_nc1hwc0(y), "NC1HWC0"), [1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1],
    ]  # fmt: skip
    return Case("conv2d_tik", arguments, [to_nc1hwc0(x), tiles], [to_nc1hwc0(y)], error=4 * HALF, folder=FOLDER)


@case
def sample_matmul() -> Case:
    a, b = numbers(2, 16, 64), numbers(3, 64, 1024)
    y = (wide(a) @ wide(b)).astype(np.float32)
    return Case("matmul_tik", [described(x) for x in (a, b, y)], [a, b], [y], error=1e-5, folder=FOLDER)
