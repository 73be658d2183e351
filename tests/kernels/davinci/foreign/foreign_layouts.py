"""Kernels that move data: transposes, changes of layout, slices, concatenations."""

from __future__ import annotations

import numpy as np
from foreign_cases import Case, case, described, numbers, simple, to_fractal_nz, to_nc1hwc0


@case
def tensor_move() -> Case:
    x = numbers(0, 37, 64)
    return simple("tensor_move", [x], [x])


@case
def nd_to_fractal_nz() -> Case:
    x = numbers(1, 40, 70)
    nz = to_fractal_nz(x)
    arguments = [described(x), described(nz, "FRACTAL_NZ", x.shape, "ND"), "ND", "FRACTAL_NZ"]
    return Case("trans_data_positive_source_tc", arguments, [x], [nz])


@case
def nhwc_to_nc1hwc0() -> Case:
    x = numbers(2, 2, 35, 5, 7)
    five = to_nc1hwc0(x)
    nhwc = x.transpose(0, 2, 3, 1).copy()
    arguments = [described(nhwc, "NHWC"), described(five, "NC1HWC0", nhwc.shape, "NHWC"), "NHWC", "NC1HWC0"]
    return Case("trans_data_positive_source_tc", arguments, [nhwc], [five])


@case
def nchw_to_nc1hwc0() -> Case:
    x = numbers(3, 2, 35, 6, 7)
    five = to_nc1hwc0(x)
    arguments = [described(x, "NCHW"), described(five, "NC1HWC0", x.shape, "NCHW"), "NCHW", "NC1HWC0"]
    return Case("trans_data_positive_source_ntc", arguments, [x], [five])


@case
def fractal_nz_to_nd() -> Case:
    x = numbers(4, 40, 70)
    nz = to_fractal_nz(x)
    arguments = [described(nz, "FRACTAL_NZ", x.shape, "ND"), described(x), "FRACTAL_NZ", "ND"]
    return Case("trans_data_negative_target_tc", arguments, [nz], [x])


@case
def nc1hwc0_to_nhwc() -> Case:
    x = numbers(5, 2, 35, 5, 7)
    five, nhwc = to_nc1hwc0(x), x.transpose(0, 2, 3, 1).copy()
    arguments = [described(five, "NC1HWC0", nhwc.shape, "NHWC"), described(nhwc, "NHWC"), "NC1HWC0", "NHWC"]
    return Case("trans_data_negative_target_tc", arguments, [five], [nhwc])


@case
def nc1hwc0_to_nchw() -> Case:
    x = numbers(6, 2, 35, 6, 7)
    five = to_nc1hwc0(x)
    arguments = [described(five, "NC1HWC0", x.shape, "NCHW"), described(x, "NCHW"), "NC1HWC0", "NCHW"]
    return Case("trans_data_negative_target_ntc", arguments, [five], [x])


@case
def roll() -> Case:
    x = numbers(7, 6, 48, dtype="float32")
    return simple("roll", [x], [np.roll(x, 2, 0)], [2], [0])


@case
def reverse_v2_d() -> Case:
    x = numbers(8, 6, 5, 32)
    return simple("reverse_v2_d", [x], [x[:, ::-1].copy()], [1])


@case
def eye() -> Case:
    y = np.eye(32, 32, dtype=np.float32)
    return Case("eye", [described(y), 32, 32, ()], [], [y])


@case
def split_last() -> Case:
    x = numbers(10, 48, 24)
    parts = [p.copy() for p in np.split(x, 3, axis=1)]
    return Case("split_d", [described(x), [described(p) for p in parts], 1, 3], [x], parts)


@case
def shuffle_channel() -> Case:
    x = numbers(14, 2, 12, 4, 8)
    y = x.reshape(2, 3, 4, 4, 8).transpose(0, 2, 1, 3, 4).reshape(x.shape).copy()
    return Case("shuffle_channel", [described(x, "NCHW"), described(y, "NCHW"), 3], [x], [y])


@case
def slice_last_dim() -> Case:
    x = numbers(15, 2, 3, 4, 40, 16)
    return simple("slice_last_dim", [x], [x[:, :, :, 5:21].copy()], 5, 21)


@case
def parallel_concat() -> Case:
    parts = [numbers(20 + i, 1, 48) for i in range(4)]
    y = np.concatenate(parts)
    return Case("parallel_concat", [[described(p) for p in parts], described(y), list(y.shape), 4], parts, [y])


@case
def concat_offset_d() -> Case:
    parts = [np.array([2, n, 5], np.int32) for n in (3, 4, 6)]
    offsets = [np.array([0, n, 0], np.int32) for n in (0, 3, 7)]
    arguments = [[described(p) for p in parts], [described(o) for o in offsets], 1]
    return Case("concat_offset_d", arguments, parts, offsets)


@case
def crop() -> Case:
    x, size = numbers(17, 2, 16, 10, 12), numbers(18, 2, 16, 6, 8)
    y = x[:, :, 2:8, 3:11].copy()
    five, small, result = to_nc1hwc0(x), to_nc1hwc0(size), to_nc1hwc0(y)
    arguments = [described(a, "NC1HWC0", o.shape, "NCHW") for a, o in ((five, x), (small, size), (result, y))]
    return Case("crop", arguments, [five, small], [result], {"axis": 2, "offsets": [2, 3]})


@case
def space_to_depth() -> Case:
    x = numbers(19, 1, 4, 6, 16)
    y = x.reshape(1, 2, 2, 3, 2, 16).transpose(0, 1, 3, 2, 4, 5).reshape(1, 2, 3, 64).copy()
    return Case("space_to_depth", [described(x, "NHWC"), None, described(y, "NHWC"), 2], [x], [y])


@case
def hwc_2_chw() -> Case:
    x = numbers(21, 512, 240, dtype="float32")
    return Case("hwc_2_chw", [list(x.shape), "float32"], [x], [x.T.copy()])


@case
def inplace_update() -> Case:
    x, new, index = numbers(22, 6, 16), numbers(24, 1, 16), np.array([4], np.int32)
    y = x.copy()
    y[index] = new
    return simple("inplace_update", [x, index, new], [y])
