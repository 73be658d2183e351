"""Kernels that multiply matrices, resize images, or pick classes."""

from __future__ import annotations

import numpy as np
from foreign_arithmetic import HALF, SINGLE, corners, wide
from foreign_cases import Array, Case, case, described, integers, numbers, simple, to_fractal_nz, to_nc1hwc0
from foreign_networks import softmax, to_nz


def fractal_z(x: Array) -> Array:
    """K x N to FRACTAL_ZN [K1][N1][n][k]."""
    k, n = x.shape
    return x.reshape(k // 16, 16, n // 16, 16).transpose(0, 2, 3, 1).copy()


@case
def basic_lstm_cell_weight_grad() -> Case:
    x, h, gates = numbers(0, 32, 48), numbers(1, 32, 16), numbers(2, 32, 64)
    joined = np.concatenate([x, h], axis=1)
    dw = (wide(joined).T @ wide(gates)).astype(np.float16)
    db = wide(gates).sum(axis=0).astype(np.float16)
    arrays = [to_fractal_nz(a) for a in (x, h, gates)]
    dw_z, arguments = fractal_z(dw), [described(a, "FRACTAL_NZ") for a in arrays]
    arguments += [described(dw_z, "FRACTAL_ZN_LSTM"), described(db)]
    return Case("basic_lstm_cell_weight_grad", arguments, arrays, [dw_z, db], error=32 * HALF)


@case
def basic_lstm_cell_input_grad() -> Case:
    gates, w = numbers(3, 32, 64), numbers(4, 64, 64)
    product = wide(gates) @ wide(w).T
    dx, dh = (to_fractal_nz(part) for part in (product[:, :48].astype(np.float32), product[:, 48:].astype(np.float32)))
    arrays = [to_fractal_nz(gates), fractal_z(w)]
    arguments = [described(arrays[0], "FRACTAL_NZ"), described(arrays[1], "FRACTAL_ZN_LSTM"), None]
    arguments += [described(a, "FRACTAL_NZ") for a in (dx, dh)]
    return Case("basic_lstm_cell_input_grad", arguments, arrays, [dx, dh], error=64 * SINGLE)


@case
def resize_nearest_neighbor_grad() -> Case:
    dy = numbers(5, 1, 16, 12, 16, dtype="float32")
    dx = wide(dy).reshape(1, 16, 6, 2, 8, 2).sum(axis=(3, 5)).astype(np.float32)
    arguments = [described(to_nc1hwc0(a), "NC1HWC0", a.shape, "NCHW") for a in (dy, dx)]
    return Case(
        "resize_nearest_neighbor_v2_grad_d", [*arguments, [6, 8]], [to_nc1hwc0(dy)], [to_nc1hwc0(dx)], error=4 * SINGLE
    )


@case
def resize_bilinear_grad() -> Case:
    """Twice as large: every pixel of x takes a row and a column of weights (1/2, 1, 1/2), clipped at the end."""
    dy = numbers(6, 1, 16, 8, 12, dtype="float32")
    weights = []
    for small, large in ((4, 8), (6, 12)):
        table = np.zeros((small, large))
        for i in range(large):
            low, part = int(i / 2), i / 2 - int(i / 2)
            table[low, i] += 1 - part
            table[min(low + 1, small - 1), i] += part
        weights.append(table)
    dx = np.einsum("hi,ncij,wj->nchw", weights[0], wide(dy), weights[1]).astype(np.float32)
    arguments = [described(to_nc1hwc0(a), "NC1HWC0", a.shape, "NCHW") for a in (dy, dx, dx)]
    return Case(
        "resize_bilinear_v2_grad", arguments, [to_nc1hwc0(dy), to_nc1hwc0(dx)], [to_nc1hwc0(dx)], error=16 * SINGLE
    )


@case
def multilabel_margin_loss() -> Case:
    x = numbers(8, 4, 16, dtype="float32")
    target = np.full((4, 16), -1, np.int32)
    target[:, :3] = [np.random.default_rng(i).permutation(16)[:3] for i in range(4)]
    hit = np.zeros((4, 16), np.int32)
    np.put_along_axis(hit, target[:, :3], 1, axis=1)
    margins = [
        np.maximum(0, 1 - (wide(row)[t] - wide(row)[h == 0])).sum()
        for row, h, ts in zip(x, hit, target)
        for t in ts[:3]
    ]
    y = (np.array(margins).reshape(4, 3).sum(axis=1) / 16).mean(keepdims=True).astype(np.float32)
    return simple("multilabel_margin_loss", [x, target], [y, hit], "mean", error=1e-4, finding=("RaceError", "races"))


@case
def decode_bbox() -> Case:
    moves, anchors = numbers(9, 128, 4), np.empty((128, 4), np.float16)
    anchors[:, :2] = numbers(10, 128, 2, low=0, high=20)
    anchors[:, 2:] = anchors[:, :2] + numbers(11, 128, 2, low=4, high=20)
    y0, x0, y1, x1 = wide(anchors).T
    cy, cx = wide(moves[:, 0]) * (y1 - y0) + (y0 + y1) / 2, wide(moves[:, 1]) * (x1 - x0) + (x0 + x1) / 2
    h, w = np.exp(wide(moves[:, 2])) * (y1 - y0), np.exp(wide(moves[:, 3])) * (x1 - x0)
    y = np.stack([cy - h / 2, cx - w / 2, cy + h / 2, cx + w / 2], axis=1).astype(np.float16)
    arguments = [*(described(a.reshape(32, 4, 4)) for a in (moves, anchors)), described(y), 4.135]
    return Case("decode_bbox", arguments, [moves, anchors], [y], error=16 * HALF, finding=("BoundsError", "bounds"))


@case
def yolo_boxes_encode() -> Case:
    anchors, truth = (np.concatenate([low, low + size], axis=1) for low, size in (
        (numbers(18 + i, 128, 2, low=0, high=50, dtype="float32"), numbers(20 + i, 128, 2, low=5, high=40, dtype="float32"))
        for i in range(2)
    ))  # fmt: skip
    stride = integers(22, 128, low=8, high=9)
    centres = [(wide(b[:, :2]) + b[:, 2:]) / 2 for b in (anchors, truth)]
    sizes = [wide(b[:, 2:]) - b[:, :2] for b in (anchors, truth)]
    moved = np.clip((centres[1] - centres[0]) / stride[:, None] + 0.5, 1e-6, 1 - 1e-6)
    y = np.concatenate([moved, np.log(sizes[1] / sizes[0])], axis=1).astype(np.float32)
    return simple("yolo_boxes_encode", [anchors, truth, stride], [y], error=1e-4)


@case
def max_pool_grad_with_argmax() -> Case:
    """Windows of 2 x 2 side by side: the gradient goes to the largest pixel of each. The mask has a bit per channel."""
    x, dy = numbers(30, 1, 16, 8, 64), numbers(31, 1, 16, 4, 32)
    windows = x.reshape(16, 4, 2, 32, 2).transpose(2, 4, 1, 3, 0).reshape(4, 4 * 32, 16)
    largest = np.arange(4)[:, None, None] == windows.argmax(axis=0)
    words = np.packbits(largest, axis=-1, bitorder="little").view(np.uint16)[..., 0]
    mask = np.zeros((1, 1, 4, 9, 16), np.uint16)
    mask.reshape(4, -1)[:, :128] = words
    chosen = np.where(largest, dy.reshape(16, -1).T[None], 0)
    dx = chosen.reshape(2, 2, 4, 32, 16).transpose(4, 2, 0, 3, 1).reshape(1, 16, 8, 64).astype(np.float16)
    arrays = [to_nc1hwc0(x), to_nc1hwc0(dy), mask, to_nc1hwc0(dx)]
    arguments = [*(described(a, "NC1HWC0") for a in arrays), [1, 2, 2, 1], [1, 2, 2, 1], "VALID"]
    return Case("max_pool_grad_with_argmax", arguments, arrays[:3], arrays[3:])


@case
def attention_score() -> Case:
    """softmax(Q K^T / 8) V for two batches of 16 heads, nothing masked or dropped; heads lie side by side in the result."""
    batch, heads, rows, width = 2, 16, 128, 64
    q, k, v = (numbers(12 + i, batch, heads, rows, width) for i in range(3))
    scores = (wide(q) @ wide(k).transpose(0, 1, 3, 2)).astype(np.float16)
    probability = softmax(wide(scores) * 0.125).astype(np.float16)
    y = (wide(probability) @ wide(v)).astype(np.float16)
    joined = y.transpose(0, 2, 1, 3).reshape(batch * rows, heads * width)
    mask, scale = np.zeros((batch, 1, rows, rows), np.float16), np.array([0.125], np.float16)
    q, k, v, mask, probability = (to_nz(a) for a in (q, k, v, mask, probability))
    keep, outputs = np.ones(probability.shape, np.uint8), [to_fractal_nz(joined), probability]
    inputs = [q, k, v, mask, scale, keep]
    arguments = [*(described(a, "FRACTAL_NZ") for a in (*inputs, *outputs)), 1.0]
    return Case("attention_score", arguments, inputs, outputs, error=32 * HALF, finding=("BoundsError", "bounds"))


@case
def k_means_centroids() -> Case:
    x, centres = numbers(16, 64, 16, dtype="float32"), numbers(17, 16, 16, dtype="float32")
    squares = [np.square(wide(a)).sum(axis=1) for a in (x, centres)]
    products = wide(x.astype(np.float16)) @ wide(centres.astype(np.float16)).T
    distance = squares[0][:, None] + squares[1][None] - 2 * products
    nearest = distance.argmin(axis=1)
    total, count = np.zeros((16, 16)), np.zeros((16, 1))
    np.add.at(total, nearest, wide(x))
    np.add.at(count, nearest, 1)
    sums = [squares[1][None].astype(np.float32), squares[0][:, None].astype(np.float32)]
    best = np.array([distance.min(axis=1).sum()], np.float32)
    outputs = [total.astype(np.float32), count.astype(np.float32), best]
    return simple(
        "k_means_centroids", [x, centres, *sums], outputs, True, error=1e-2, finding=("BoundsError", "bounds")
    )


def polygon(box: Array) -> Array:
    """Corners of (x, y, width, height, degrees), counterclockwise."""
    x, y, width, height, angle = wide(box)
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    half = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (width / 2, height / 2)
    return np.array([x, y]) + half @ np.array([[c, s], [-s, c]])


def shared_area(a: Array, b: Array) -> float:
    """Area of the intersection of two convex polygons: the first, cut by every edge of the second."""
    corners = list(a)
    for start, end in zip(b, np.roll(b, -1, axis=0)):
        edge, kept = end - start, []
        sides = [edge[0] * (p - start)[1] - edge[1] * (p - start)[0] for p in corners]
        for p, q, d, e in zip(corners, corners[1:] + corners[:1], sides, sides[1:] + sides[:1]):
            kept += [p] if d >= 0 else []
            kept += [p + (q - p) * d / (d - e)] if d * e < 0 else []
        corners = kept
    x, y = np.array(corners).reshape(-1, 2).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


@case
def rotated_overlaps() -> Case:
    boxes = [
        np.concatenate(
            [
                numbers(90 + i, 16, 2, low=0, high=20, dtype="float32"),
                numbers(92 + i, 16, 2, low=8, high=20, dtype="float32"),
                numbers(94 + i, 16, 1, low=-80, high=80, dtype="float32"),
            ],
            axis=1,
        )
        for i in range(2)
    ]
    area = [[shared_area(polygon(a), polygon(b)) for b in boxes[1]] for a in boxes[0]]
    planes = [b.T[None].copy() for b in boxes]
    return simple("rotated_overlaps", planes, [np.array(area, np.float32)[None]], False, error=1e-4)


def giou_of(a: Array, b: Array) -> Array:
    """GIoU of boxes [4, n] in double precision."""
    area = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)]
    inner = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0).prod(axis=0)
    hull = (np.maximum(a[2:], b[2:]) - np.minimum(a[:2], b[:2])).prod(axis=0)
    union = area[0] + area[1] - inner
    return np.asarray(inner / union - (hull - union) / hull)


@case
def giou_grad() -> Case:
    """Against differences of the formula, (f(x + h) - f(x - h)) / 2h."""
    a, b = (wide(corners(100 + 2 * i, 2048)).T for i in range(2))
    dy, step = numbers(104, 2048, dtype="float32"), 1e-5
    gradients = [np.zeros((4, 2048)) for _ in range(2)]
    for k in range(4):
        shift = step * (np.arange(4) == k)[:, None]
        gradients[0][k] = wide(dy) * (giou_of(a + shift, b) - giou_of(a - shift, b)) / (2 * step)
        gradients[1][k] = wide(dy) * (giou_of(a, b + shift) - giou_of(a, b - shift)) / (2 * step)
    inputs = [dy, a.astype(np.float32), b.astype(np.float32)]
    return simple("giou_grad", inputs, [g.astype(np.float32) for g in gradients], False, False, "iou", error=1e-4)


@case
def lrn_grad() -> Case:
    x, dy = numbers(106, 1, 32, 4, 8, dtype="float32"), numbers(107, 1, 32, 4, 8, dtype="float32")

    def windows(z: Array) -> Array:
        padded = np.pad(z, ((0, 0), (2, 2), (0, 0), (0, 0)))
        return np.asarray(sum(padded[:, k : k + 32] for k in range(5)))

    scale = 1 + 0.5 * windows(np.square(wide(x)))
    y = wide(x) / np.sqrt(scale)
    dx = wide(dy) / np.sqrt(scale) - 2 * 0.5 * 0.5 * wide(x) * windows(wide(dy) * y / scale)
    arrays = [dy, x, y.astype(np.float32), dx.astype(np.float32)]
    arguments = [*(described(a, "NCHW") for a in arrays), 2, 1.0, 0.5, 0.5]
    return Case("lrn_grad", arguments, arrays[:3], arrays[3:], error=1e-5)
