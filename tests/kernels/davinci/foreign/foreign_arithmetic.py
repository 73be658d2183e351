"""Kernels that compute: reductions, scans, indexed sums, softmax, boxes, pooling."""

from __future__ import annotations

import numpy as np
from foreign_cases import Array, Case, case, described, integers, numbers, simple

HALF, SINGLE = 2.0**-11, 2.0**-24


def wide(x: Array) -> Array:
    """In double precision."""
    return x.astype(np.float64)


@case
def cumsum_d() -> Case:
    x = numbers(0, 9, 5, 16, dtype="float32")
    return simple("cumsum_d", [x], [np.cumsum(wide(x), axis=1).astype(np.float32)], 1, error=8 * SINGLE)


@case
def cumsum_exclusive_reverse() -> Case:
    x = numbers(1, 7, 48, dtype="float32")
    total = np.cumsum(wide(x)[::-1], axis=0)[::-1] - wide(x)
    return simple("cumsum_d", [x], [total.astype(np.float32)], 0, True, True, error=8 * SINGLE)


@case
def square_sum_all() -> Case:
    x, y = numbers(2, 50, 40, dtype="float32"), numbers(3, 50, 40, dtype="float32")
    sums = [np.array([np.square(wide(a)).sum()], np.float32) for a in (x, y)]
    return simple("square_sum_all", [x, y], sums, error=2000 * SINGLE)


@case
def arg_max_d() -> Case:
    x = numbers(4, 6, 40, dtype="float32")
    return simple("arg_max_d", [x], [np.argmax(x, axis=1).astype(np.int32)], 1)


@case
def arg_max_half() -> Case:
    x = numbers(5, 12, 200)
    return simple("arg_max_d", [x], [np.argmax(x, axis=1).astype(np.int32)], 1)


@case
def arg_min_d() -> Case:
    x = numbers(6, 6, 40)
    return simple("arg_min_d", [x], [np.argmin(x, axis=1).astype(np.int32)], 1)


@case
def arg_max_with_value() -> Case:
    x = numbers(7, 6, 100)
    index, value = np.argmax(x, axis=1)[:, None].astype(np.int32), x.max(axis=1, keepdims=True)
    return simple("arg_max_with_value", [x], [index, value], 1)


@case
def arg_min_with_value() -> Case:
    x = numbers(8, 6, 100)
    index, value = np.argmin(x, axis=1)[:, None].astype(np.int32), x.min(axis=1, keepdims=True)
    return simple("arg_min_with_value", [x], [index, value], 1)


@case
def cummin() -> Case:
    x = numbers(9, 5, 32)
    value = np.minimum.accumulate(x, axis=0)
    index = np.maximum.accumulate(np.where(x == value, np.arange(5)[:, None], 0), axis=0).astype(np.int32)
    return simple("cummin", [x], [value, index], 0)


@case
def scatter_non_aliasing_add() -> Case:
    x, new = numbers(10, 20, 16, dtype="float32"), numbers(11, 6, 16, dtype="float32")
    index = np.array([[3], [7], [1], [19], [0], [12]], np.int32)
    y = x.copy()
    y[index[:, 0]] += new
    return simple("scatter_non_aliasing_add", [x, index, new], [y])


@case
def index_add() -> Case:
    x, new = numbers(12, 20, 16, dtype="float32"), numbers(13, 20, 16, dtype="float32")
    index = np.random.default_rng(12).permutation(20).astype(np.int32)
    y = x + new[index]
    return simple("index_add", [x, index, new], [y], axis=0)


@case
def inplace_index_add() -> Case:
    x, new = numbers(14, 20, 16, dtype="float32"), numbers(15, 6, 16, dtype="float32")
    index = np.array([3, 7, 1, 19, 0, 12], np.int32)
    y = x.copy()
    y[index] += new
    return simple("inplace_index_add", [x, index, new], [y], 0, inplace={"out_gm": "var_gm"})


@case
def embedding_dense_grad() -> Case:
    grad, index = numbers(16, 24, 32, dtype="float32"), integers(17, 24, high=10)
    y = np.zeros((10, 32))
    np.add.at(y, index, wide(grad))
    return simple("embedding_dense_grad", [grad, index], [y.astype(np.float32)], 10, -1, False, error=24 * SINGLE)


@case
def cross() -> Case:
    a, b = numbers(18, 64, 3, dtype="float32"), numbers(19, 64, 3, dtype="float32")
    return simple("cross", [a, b], [np.cross(wide(a), wide(b)).astype(np.float32)], 1, error=4 * SINGLE)


@case
def population_count() -> Case:
    x = integers(20, 30, 8, high=32767, dtype="int16")
    y = np.array([[bin(v).count("1") for v in row] for row in x.tolist()], np.uint8)
    return simple("population_count", [x], [y])


@case
def nll_loss() -> Case:
    x, target = numbers(21, 64, 64, dtype="float32"), integers(22, 64, high=64)
    weight = numbers(23, 64, low=0.5, high=2, dtype="float32")
    used = wide(weight)[target]
    loss = np.array([-(wide(x)[np.arange(64), target] * used).sum() / used.sum()], np.float32)
    total = np.array([used.sum()], np.float32)
    return simple(
        "nll_loss",
        [x, target, weight],
        [loss, total],
        "mean",
        -100,
        error=100 * SINGLE,
        finding=("BoundsError", "bounds"),
    )


@case
def nll_loss_grad() -> Case:
    x, target = numbers(24, 24, 40, dtype="float32"), integers(25, 24, high=40)
    weight = numbers(26, 40, low=0.5, high=2, dtype="float32")
    dy, total = np.array([0.75], np.float32), np.array([weight[target].sum()], np.float32)
    dx = np.zeros((24, 40))
    dx[np.arange(24), target] = -wide(weight)[target] * 0.75 / total[0]
    return simple(
        "nll_loss_grad", [x, dy, target, weight, total], [dx.astype(np.float32)], "mean", -100, error=16 * SINGLE
    )


@case
def in_top_k() -> Case:
    x, target = numbers(27, 12, 30, dtype="float32"), integers(28, 12, high=30)
    rank = (x > x[np.arange(12), target][:, None]).sum(axis=1)
    return simple("in_top_k", [x, target], [(rank < 5).astype(np.int8)], 5)


@case
def masked_fill_range() -> Case:
    x, value = numbers(29, 4, 64, dtype="float32"), np.array([2.5], np.float32)
    start, end = np.array([[3, 0, 10, 60]], np.int32), np.array([[7, 5, 40, 64]], np.int32)
    y = x.copy()
    for row, a, b in zip(y, start[0], end[0]):
        row[a:b] = value
    return simple("masked_fill_range", [x, start, end, value], [y])


@case
def rnn_gen_mask() -> Case:
    length = np.array([3, 5, 1, 4], np.int32)
    mask = (np.arange(6)[:, None] < length).astype(np.float16)[:, :, None].repeat(32, axis=2)
    return simple("rnn_gen_mask", [length], [mask], 6, 32)


@case
def scaled_masked_softmax() -> Case:
    x = numbers(30, 1, 2, 32, 32, low=-4, high=4)
    mask = integers(31, 1, 2, 32, 32, high=2, dtype="uint8")
    z = np.where(mask, -10000.0, wide(x) * 0.5)
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    y = (e / e.sum(axis=-1, keepdims=True)).astype(np.float16)
    return simple("scaled_masked_softmax", [x, mask], [y], 0.5, False, error=8 * HALF)


@case
def softmax_with_dropout() -> Case:
    x = numbers(32, 2, 16, 2, 2, 16, 16, low=-4, high=4)
    rows = wide(x).transpose(0, 1, 3, 4, 2, 5).reshape(2, 16, 32, 32)
    e = np.exp(rows - rows.max(axis=-1, keepdims=True))
    y = e / e.sum(axis=-1, keepdims=True)
    nz = y.reshape(2, 16, 2, 16, 2, 16).transpose(0, 1, 4, 2, 3, 5).astype(np.float16)
    mask = integers(33, x.size, high=2, dtype="uint8")
    kept = (wide(nz) * mask.reshape(nz.shape) / 0.5).astype(np.float16)
    return Case(
        "softmax_v2_with_drop_out_do_mask_v3_d",
        [*(described(a, "FRACTAL_NZ", (2, 16, 32, 32), "ND") for a in (x, mask.reshape(x.shape), nz, kept)), 0.5],
        [x, mask.reshape(x.shape)], [nz, kept], {"axis": [-1]}, error=8 * HALF,
    )  # fmt: skip


@case
def pdist() -> Case:
    x = numbers(34, 12, 16, dtype="float32")
    i, j = np.triu_indices(12, 1)
    return simple(
        "pdist", [x], [np.abs(wide(x)[i] - wide(x)[j]).sum(axis=1).astype(np.float32)], 1.0, error=32 * SINGLE
    )


@case
def stride_add() -> Case:
    a, b = numbers(35, 2, 3, 4, 5, 16), numbers(36, 2, 2, 4, 5, 16)
    return Case(
        "stride_add", [*(described(x, "NC1HWC0") for x in (a, b, a[:, 1:3])), 1, 0, 2], [a, b], [a[:, 1:3] + b],
    )  # fmt: skip


def corners(seed: int, count: int) -> Array:
    """Boxes (x1, y1, x2, y2) with positive width and height."""
    low = numbers(seed, count, 2, low=0, high=50, dtype="float32")
    return np.concatenate([low, low + numbers(seed + 1, count, 2, low=5, high=40, dtype="float32")], axis=1)


@case
def giou() -> Case:
    a, b = corners(40, 2048), corners(42, 2048)
    area = [wide(x[:, 2] - x[:, 0]) * (x[:, 3] - x[:, 1]) for x in (a, b)]
    inner = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    meet = np.maximum(wide(inner), 0).prod(axis=1)
    union = area[0] + area[1] - meet
    hull = wide(np.maximum(a[:, 2:], b[:, 2:]) - np.minimum(a[:, :2], b[:, :2])).prod(axis=1)
    y = (meet / union - (hull - union) / hull).astype(np.float32)[:, None]
    return simple("giou", [a.T.copy(), b.T.copy()], [y.T.copy()], False, False, "iou", error=1e-5)


@case
def bounding_box_decode() -> Case:
    rois = corners(44, 32).astype(np.float16)
    deltas = numbers(46, 32, 4)
    width, height = (wide(rois[:, 2 + i]) - rois[:, i] + 1 for i in range(2))
    x, y = (wide(rois[:, i]) + rois[:, 2 + i] for i in range(2))
    cx, cy = x / 2 + width * wide(deltas[:, 0]), y / 2 + height * wide(deltas[:, 1])
    half = [s * np.exp(wide(deltas[:, 2 + i])) / 2 for i, s in enumerate((width, height))]
    boxes = np.stack([cx - half[0] + 0.5, cy - half[1] + 0.5, cx + half[0] - 0.5, cy + half[1] - 0.5], axis=1)
    return simple("bounding_box_decode", [rois, deltas], [boxes.astype(np.float16)], error=8 * HALF)


@case
def normalize_bbox() -> Case:
    boxes, size = numbers(47, 2, 64, 4, low=0, high=100), np.array([[80, 100, 3], [60, 90, 3]], np.int32)
    y = wide(boxes) / size[:, None, [0, 1, 0, 1]]
    return simple("normalize_bbox", [boxes, size], [y.astype(np.float16)], error=8 * HALF)


@case
def check_valid() -> Case:
    boxes = corners(48, 32).astype(np.float16)
    meta = np.array([70, 80, 1], np.float16)
    inside = (boxes[:, 0] >= 0) & (boxes[:, 1] >= 0) & (boxes[:, 2] < 80) & (boxes[:, 3] < 70)
    return simple("check_valid", [boxes, meta], [inside.astype(np.int8)[:, None]])


@case
def top_k_d() -> Case:
    x = numbers(50, 3, 100)
    whole = np.arange(4096)
    index = np.concatenate([whole.astype(np.float16), (whole - whole.astype(np.float16)).astype(np.float16)])
    order = np.argsort(-wide(x), axis=1, kind="stable")[:, :10]
    value = np.take_along_axis(x, order, axis=1)
    return simple("top_k_d", [x, index], [value, order.astype(np.int32)], 10)


@case
def sort() -> Case:
    x = numbers(51, 2, 48)
    order = np.argsort(wide(x), axis=1, kind="stable")
    return simple(
        "sort",
        [x],
        [np.take_along_axis(x, order, axis=1), order.astype(np.int32)],
        -1,
        False,
        finding=("RaceError", "races"),
    )


@case
def anchor_response_flags() -> Case:
    boxes = corners(52, 8)
    x, y = ((boxes[:, i] + boxes[:, 2 + i]) / 2 / 16 for i in range(2))
    flags = np.zeros((8, 8, 3), np.uint8)
    flags[y.astype(int), x.astype(int)] = 1
    return simple("anchor_response_flags", [boxes], [flags.reshape(-1)], [8, 8], [16, 16], 3)
