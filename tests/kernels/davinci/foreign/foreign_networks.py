"""Kernels of networks: boxes and their suppression, pooling, softmax with dropout, recurrent cells."""

from __future__ import annotations

import numpy as np
from foreign_arithmetic import HALF, SINGLE, corners, wide
from foreign_cases import Array, Case, case, described, integers, numbers, simple, to_nc1hwc0


@case
def sort_v2() -> Case:
    x = numbers(0, 4, 64)
    return simple("sort_v2", [x], [np.sort(x, axis=1)], -1, False, finding=("RaceError", "races"))


@case
def quantize() -> Case:
    x = numbers(1, 8, 64, low=-20, high=20, dtype="float32")
    scale, zero = np.array([0.25], np.float32), np.array([3], np.int32)
    y = np.clip(np.rint(wide(x) / 0.25) + 3, -128, 127).astype(np.int8)
    return simple("quantize", [x, scale, zero], [y], "torch.qint8", 1)


@case
def col2im() -> Case:
    """Windows of 2 x 2 side by side: every pixel comes from one tap. x is [n, c1, taps, windows, 16]."""
    size = np.array([6, 8], np.int32)
    x = numbers(2, 1, 1, 4, 12, 16, dtype="float32")
    y = x.reshape(1, 1, 2, 2, 3, 4, 16).transpose(0, 1, 4, 2, 5, 3, 6).reshape(1, 1, 6, 8, 16).copy()
    return Case("col2im", [*(described(a) for a in (x, size, y)), [2, 2], [1, 1], [0, 0], [2, 2]], [x, size], [y])


@case
def clip_boxes_d() -> Case:
    boxes = numbers(4, 128, 4, low=-20, high=120)
    y = np.clip(boxes, 0, np.array([90, 70, 90, 70], np.float16))
    return simple("clip_boxes_d", [boxes], [y], [70, 90])


@case
def to_absolute_bbox() -> Case:
    boxes, size = numbers(5, 2, 64, 4, low=0, high=1), np.array([80, 100, 80, 100], np.int32)
    y = wide(boxes) * size[[1, 0, 3, 2]]
    return simple("to_absolute_bbox", [boxes, size], [y.astype(np.float16)], error=4 * HALF)


@case
def decode_bbox_v2() -> Case:
    boxes, anchors = numbers(6, 128, 4, dtype="float32"), corners(7, 128)
    y0, x0, y1, x1 = wide(anchors).T
    cy, cx = wide(boxes[:, 0]) * (y1 - y0) + (y0 + y1) / 2, wide(boxes[:, 1]) * (x1 - x0) + (x0 + x1) / 2
    h, w = np.exp(wide(boxes[:, 2])) * (y1 - y0), np.exp(wide(boxes[:, 3])) * (x1 - x0)
    y = np.stack([cy - h / 2, cx - w / 2, cy + h / 2, cx + w / 2], axis=1).astype(np.float32)
    planes = [a.T.copy() for a in (boxes, anchors, y)]
    return simple("decode_bbox_v2", planes[:2], planes[2:], reversed_box=True, error=64 * SINGLE)


@case
def bounding_box_encode() -> Case:
    a, g = corners(8, 128), corners(10, 128)
    extents = [[wide(b[:, 2 + i]) - b[:, i] + 1 for i in range(2)] for b in (a, g)]
    centres = [[(wide(b[:, 2 + i]) + b[:, i]) / 2 for i in range(2)] for b in (a, g)]
    moves = [(centres[1][i] - centres[0][i]) / extents[0][i] for i in range(2)]
    scales = [np.log(extents[1][i] / extents[0][i]) for i in range(2)]
    return simple("bounding_box_encode", [a, g], [np.stack(moves + scales, axis=1).astype(np.float32)], error=2e-3)


@case
def diou() -> Case:
    a, b = corners(12, 2048), corners(14, 2048)
    area = [wide(x[:, 2] - x[:, 0]) * (x[:, 3] - x[:, 1]) for x in (a, b)]
    inner = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    meet = np.maximum(wide(inner), 0).prod(axis=1)
    hull = wide(np.maximum(a[:, 2:], b[:, 2:]) - np.minimum(a[:, :2], b[:, :2]))
    apart = (wide(a[:, :2] + a[:, 2:]) - (b[:, :2] + b[:, 2:])) / 2
    y = meet / (area[0] + area[1] - meet) - np.square(apart).sum(axis=1) / np.square(hull).sum(axis=1)
    return simple("diou", [a.T.copy(), b.T.copy()], [y.astype(np.float32)[None]], False, False, "iou", error=1e-5)


def suppressed(boxes: Array, threshold: float) -> Array:
    """1 for every box that is kept, highest score first, widths and heights without an extra pixel."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:4], boxes[None, :, 2:4])
    meet = np.maximum(wide(high) - low, 0).prod(axis=-1)
    area = (wide(boxes[:, 2:4]) - boxes[:, :2]).prod(axis=1)
    over = meet / (area[:, None] + area[None] - meet) > threshold
    kept = np.ones(len(boxes), np.uint8)
    for j in range(len(boxes)):
        kept[j] = not any(over[i, j] and kept[i] for i in range(j))
    return kept


@case
def nms_with_mask() -> Case:
    boxes = np.zeros((64, 8), np.float16)
    boxes[:, :4] = np.rint(corners(16, 64))
    boxes[:, 4] = np.linspace(0.9, 0.1, 64)
    kept, index = suppressed(boxes, 0.5), np.arange(64, dtype=np.int32)
    return simple("nms_with_mask", [boxes], [boxes[:, :5].copy(), index, kept], 0.5)


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


@case
def scaled_masked_softmax_grad() -> Case:
    dy, y = numbers(18, 1, 2, 32, 32), softmax(wide(numbers(19, 1, 2, 32, 32))).astype(np.float16)
    mask = integers(20, 1, 2, 32, 32, high=2, dtype="uint8")
    dx = (wide(dy) - (wide(dy) * wide(y)).sum(axis=-1, keepdims=True)) * wide(y) * 0.5
    dx = np.where(mask, 0, dx).astype(np.float16)
    return simple("scaled_masked_softmax_grad", [dy, y, mask], [dx], 0.5, False, error=8 * HALF)


def to_nz(x: Array) -> Array:
    """The last two axes as [C1][R1][16][16]."""
    *batch, rows, columns = x.shape
    split = x.reshape(*batch, rows // 16, 16, columns // 16, 16)
    return np.moveaxis(split, -2, -4).copy()


@case
def drop_out_with_muls_and_softmax_grad() -> Case:
    shape = (2, 16, 128, 128)
    dy, y = numbers(21, *shape), softmax(wide(numbers(22, *shape))).astype(np.float16)
    mask = integers(23, *shape, high=2, dtype="uint8")
    dropped = wide(dy) * mask / 0.5
    dx = ((dropped - (dropped * wide(y)).sum(axis=-1, keepdims=True)) * wide(y) * 0.125).astype(np.float16)
    arrays = [to_nz(a) for a in (dy, mask, y, dx)]
    arguments = [*(described(a, "FRACTAL_NZ", shape, "ND") for a in arrays), 0.5, 0.125]
    return Case("drop_out_with_muls_and_softmax_grad", arguments, arrays[:3], arrays[3:], error=16 * HALF)


@case
def axpy_with_softmax_and_drop_out() -> Case:
    shape = (2, 16, 32, 32)
    a, b = numbers(24, *shape, low=-4, high=4), numbers(25, *shape)
    mask = integers(26, *shape, high=2, dtype="uint8")
    y = softmax(wide((wide(a) + 0.25 * wide(b)).astype(np.float16))).astype(np.float16)
    dropped = (wide(y) * mask / 0.5).astype(np.float16)
    arrays = [to_nz(x) for x in (a, b, mask, y, dropped)]
    arguments = [*(described(x, "FRACTAL_NZ", shape, "ND") for x in arrays), 0.25, 0.5]
    return Case("axpy_with_softmax_and_drop_out_do_mask", arguments, arrays[:3], arrays[3:], error=16 * HALF)


@case
def scatter_nd_d() -> Case:
    index = np.array([[3], [7], [1], [15], [0], [12]], np.int32)
    x = numbers(27, 6, 32, dtype="float32")
    y = np.zeros((20, 32), np.float32)
    y[index[:, 0]] = x
    return simple("scatter_nd_d", [index, x], [y], [20, 32])


@case
def add_row_ranges() -> Case:
    x, source = numbers(28, 12, 32, dtype="float32"), numbers(29, 20, 32, dtype="float32")
    first = integers(30, 12, high=15)
    ranges = np.stack([first, first + integers(31, 12, low=1, high=5)], axis=1)
    y = np.stack([wide(r) + wide(source[a:b]).sum(axis=0) for r, (a, b) in zip(x, ranges)]).astype(np.float32)
    return simple("add_row_ranges", [x, source, ranges], [y], error=16 * SINGLE)


@case
def basic_lstm_cell_c_state_grad() -> Case:
    shape = (2, 3, 16, 16)
    c, dh, dc, i, j, f, o, tc = (numbers(40 + n, *shape, dtype="float32", low=0.1, high=0.9) for n in range(8))
    inner = wide(dh) * wide(o) * (1 - wide(tc) ** 2) + wide(dc)
    gates = [
        inner * wide(j) * wide(i) * (1 - wide(i)),
        inner * wide(i) * (1 - wide(j) ** 2),
        inner * wide(c) * wide(f) * (1 - wide(f)),
        wide(dh) * wide(tc) * wide(o) * (1 - wide(o)),
    ]
    dgate = np.concatenate(gates, axis=0).astype(np.float16)
    return Case(
        "basic_lstm_cell_c_state_grad",
        [described(a, "FRACTAL_NZ") for a in (c, dh, dc, i, j, f, o, tc, dgate, c)],
        [c, dh, dc, i, j, f, o, tc], [dgate, (inner * wide(f)).astype(np.float32)], error=4 * HALF,
    )  # fmt: skip


@case
def reduce_max_d_tik() -> Case:
    x = numbers(50, 8, 300, dtype="float32")
    return simple("reduce_max_d_tik", [x], [x.max(axis=1)], 1)


@case
def resize_nearest_neighbor() -> Case:
    x = numbers(51, 1, 16, 6, 8)
    y = x.repeat(2, axis=2).repeat(2, axis=3)
    arguments = [described(to_nc1hwc0(a), "NC1HWC0", a.shape, "NCHW") for a in (x, y)]
    return Case("resize_nearest_neighbor_v2_d", [*arguments, [12, 16]], [to_nc1hwc0(x)], [to_nc1hwc0(y)])


@case
def max_pool_with_argmax() -> Case:
    x = numbers(52, 1, 16, 8, 8)
    windows = x.reshape(1, 16, 4, 2, 4, 2).transpose(0, 1, 2, 4, 3, 5).reshape(1, 16, 4, 4, 4)
    y = windows.max(axis=-1)
    mask = np.zeros((1, 1, 4, 2, 16), np.uint16)
    arguments = [described(to_nc1hwc0(a), "NC1HWC0") for a in (x, y)]
    return Case(
        "max_pool_with_argmax", [*arguments, described(mask, "NC1HWC0"), [1, 2, 2, 1], [1, 2, 2, 1], "VALID"],
        [to_nc1hwc0(x)], [to_nc1hwc0(y), None],
    )  # fmt: skip


@case
def dilation2d() -> Case:
    x, taps = numbers(53, 1, 16, 8, 8), numbers(54, 1, 16, 3, 3)
    y = np.full((1, 16, 6, 6), -np.inf)
    for i in range(3):
        for j in range(3):
            y = np.maximum(y, wide(x[:, :, i : i + 6, j : j + 6]) + wide(taps[:, :, i : i + 1, j : j + 1]))
    arrays = [to_nc1hwc0(a) for a in (x, taps, y.astype(np.float16))]
    arguments = [described(a, "NC1HWC0", s, "NHWC") for a, s in zip(arrays, ((1, 8, 8, 16), (3, 3, 16), (1, 6, 6, 16)))]
    return Case(
        "dilation2d", [*arguments, [1, 1, 1, 1], [1, 1, 1, 1], "VALID"], arrays[:2], arrays[2:], error=2 * HALF,
    )  # fmt: skip


@case
def lrn() -> Case:
    x = numbers(55, 1, 32, 4, 8, dtype="float32")
    squares = np.pad(np.square(wide(x)), ((0, 0), (2, 2), (0, 0), (0, 0)))
    total = sum(squares[:, k : k + 32] for k in range(5))
    y = (wide(x) / np.sqrt(1 + 0.5 * total)).astype(np.float32)
    return Case("lrn", [described(x, "NCHW"), described(y, "NCHW"), 2, 1.0, 0.5, 0.5], [x], [y], error=1e-5)


@case
def embedding_bag() -> Case:
    weight, index = numbers(56, 20, 8, dtype="float32"), integers(57, 24, high=20)
    offsets = np.arange(0, 24, 4, dtype=np.int32)
    y = wide(weight)[index].reshape(6, 4, 8).mean(axis=1).astype(np.float32)
    arguments = [described(weight), described(index), described(offsets), None, described(y), "mean"]
    return Case("embedding_bag", arguments, [weight, index, offsets], [y], error=8 * SINGLE)


@case
def copy_only() -> Case:
    x = numbers(58, 5, 64)
    return simple("copy_only", [x], [x], "copy_only")


@case
def basic_lstm_cell_c_state_grad_v2() -> Case:
    shape = (1, 2, 3, 16, 16)
    c, dy, dh, dc, i, j, f, o, tc = (numbers(60 + n, *shape, dtype="float32", low=0.1, high=0.9) for n in range(9))
    total = wide(dy) + wide(dh)
    inner = total * wide(o) * (1 - wide(tc) ** 2) + wide(dc)
    gates = [
        inner * wide(j) * wide(i) * (1 - wide(i)),
        inner * wide(i) * (1 - wide(j) ** 2),
        inner * wide(c) * wide(f) * (1 - wide(f)),
        total * wide(tc) * wide(o) * (1 - wide(o)),
    ]
    dgate = np.concatenate(gates, axis=1)[0].astype(np.float16)
    inputs = [c, dy, dh, dc[0], i, j, f, o, tc]  # the kernel takes dc without the axis of steps
    arguments = [described(a, "FRACTAL_NZ") for a in (*inputs, dgate, c)]
    outputs = [dgate, (inner * wide(f)).astype(np.float32)]
    return Case("basic_lstm_cell_c_state_grad_v2", arguments, inputs, outputs, error=4 * HALF)


@case
def gru_v2_hidden_grad_cell() -> Case:
    """One step: no later one has left a gradient."""
    shape = (1, 2, 3, 16, 16)
    later, h, dy, dh, z, r, n, inner = (numbers(70 + k, *shape, dtype="float32", low=0.1, high=0.9) for k in range(8))
    total = wide(dh) + wide(dy)
    dn = (1 - wide(n) ** 2) * (1 - wide(z)) * total
    dz = (wide(h) - wide(n)) * (1 - wide(z)) * wide(z) * total
    dn_h = dn * wide(r)
    dr = (1 - wide(r)) * wide(inner) * dn_h
    gates = np.concatenate([dz, dr, dn_h], axis=1).astype(np.float32)
    inputs = [later, h, dy, dh, z, r, n, inner]
    outputs = [(total * wide(z)).astype(np.float32), gates, dn.astype(np.float32)]
    arguments = [
        *(described(a, "FRACTAL_NZ") for a in inputs),
        None,
        *(described(a, "FRACTAL_NZ") for a in outputs),
        0,
        "zrh",
    ]
    return Case("gru_v2_hidden_grad_cell", arguments, inputs, outputs, error=16 * SINGLE)


@case
def spp_pooling() -> Case:
    x = numbers(80, 1, 32, 8, 12)
    y = x.reshape(1, 32, 4, 2, 6, 2).max(axis=(3, 5))
    arguments = [described(to_nc1hwc0(a), "NC1HWC0") for a in (x, y)]
    return Case(
        "spp_pooling", [*arguments, False, 0, (2, 2), (0, 0, 0, 0), (2, 2), 0], [to_nc1hwc0(x)], [to_nc1hwc0(y)]
    )


@case
def swap_ci() -> Case:
    """Channels (of the output, group row, group column) to groups of output channels, 16 to a block."""
    x = numbers(81, 1, 16 * 9, 6, 16)
    groups = x.reshape(16, 9, 6, 16).transpose(1, 0, 2, 3)
    y = to_nc1hwc0(groups).reshape(1, 9, 6, 16, 16)
    return Case("swap_ci", [described(x, "NCHW"), described(y, "NC1HWC0"), 16, 3], [x], [y])
