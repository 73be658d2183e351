"""Vector search and samples, the third part of the blind sample: its numbers 29 to 40."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from foreign_arithmetic import HALF, SINGLE, wide
from foreign_cases import Array, Case, case, described, integers, numbers
from foreign_networks import softmax
from foreign_samples import FOLDER
from foreign_search import actual, flags, search, standing_out, tiles
from foreign_search_more import LOWEST, plain


def quantised_products(seed: int, rows: int, count: int, batch: int) -> tuple[list[Array], Array]:
    """Queries, codes, steps and smallest values; the products."""
    query, codes = numbers(seed, rows, 64, low=0), integers(seed + 1, count, 64, high=128, dtype="uint8")
    codes[standing_out(seed + 2, count, batch)[0]] = 255
    step, least = numbers(seed + 3, 64, low=0.5, high=1), numbers(seed + 4, 64, low=-0.5, high=0)
    return [query, tiles(codes), step, least], wide(query) @ ((wide(codes) + 0.5) / 255 * wide(step) + wide(least)).T


def masked(seed: int, rows: int, count: int, batch: int) -> tuple[list[Array], Array, Array]:
    """The same with bits of what is kept, and which are."""
    (query, *rest), distance = quantised_products(seed, rows, count, batch)
    kept = np.random.default_rng(seed).integers(0, 2, distance.shape).astype(bool)
    kept |= standing_out(seed + 2, count, batch, rows)
    bits = np.packbits(kept, axis=1, bitorder="little")
    inputs = [query, bits, *rest, actual(2, count, 0, count // 8, count)]
    return inputs, np.where(kept, distance, LOWEST), kept


@case
def distance_masked_sq8_ip_maxs() -> Case:
    inputs, distance, kept = masked(1, 4, 4096, 64)
    return search("distance_masked_sq8_ip_maxs", inputs, distance, 64, 2, choose=np.maximum, shown=kept)


@case
def distance_ivf_sq8_ip() -> Case:
    inputs, distance = quantised_products(6, 1, 2048, 32)
    made = search("distance_ivf_sq8_ip", [*inputs, actual(1, 2048)[0]], distance, 32, 2, choose=np.maximum)
    outputs = [*made.expected[:2], flags(2).reshape(32)]
    return plain(made.file, list(made.inputs), outputs, made.error)


@case
def distance_sq8_ip_maxs() -> Case:
    inputs, distance = quantised_products(11, 4, 4096, 64)
    inputs.append(actual(2, 4096, 0, 0, 4096))
    return search("distance_sq8_ip_maxs", inputs, distance, 64, 2, choose=np.maximum)


@case
def l2_norm_typing_int8() -> Case:
    x = integers(16, 512, 64, low=-90, high=91, dtype="int8")
    diagonal = (np.arange(256)[:, None] % 16 == np.arange(16)).astype(np.int32)
    norms = np.square(x.astype(np.int32)).sum(axis=1, dtype=np.int32)
    return plain("l2_norm_typing_int8", [x, diagonal, actual(1, 512)[0]], [norms, tiles(x, 32, 32)], 0)


@case
def dist_accum() -> Case:
    x = numbers(17, 512, 16)
    outputs = [wide(x).sum(axis=1).astype(np.float16), flags(1)[0]]
    return replace(plain("dist_accum", [x], outputs, 4 * HALF), finding=("RaceError", "races"))


@case
def sample_softmax() -> Case:
    x = numbers(18, 256, dtype="float32")
    e = np.exp(wide(x))
    y = (e / e.sum()).astype(np.float32)
    return Case("softmax_tik", [described(a) for a in (x, y)], [x], [y], error=300 * SINGLE, folder=FOLDER)


@case
def sample_permute() -> Case:
    x = numbers(19, 2, 32, 8, 8)
    y = x.transpose(0, 2, 3, 1).copy()
    arguments = [described(x, "NCHW"), described(y, "NHWC"), [0, 2, 3, 1]]
    return Case("permute_tik", arguments, [x], [y], folder=FOLDER)


@case
def sample_upsample() -> Case:
    x = numbers(20, 2, 2, 4, 6, 16)
    y = x.repeat(2, axis=2).repeat(3, axis=3)
    arguments = [*(described(a, "NC1HWC0") for a in (x, y)), 1.0, 2, 3]
    return Case("upsample_tik", arguments, [x], [y], folder=FOLDER)


@case
def distance_ivf_int8_cos_l1() -> Case:
    query = integers(21, 4, 64, low=1, high=20, dtype="int8")
    codes = integers(22, 2048, 64, low=1, high=20, dtype="int8")
    scale, weight = np.full(16, 0.25, np.float16), numbers(23, 2048, low=0, high=0.5)
    distance = (wide(query) @ wide(codes).T * 0.01) * wide(weight) * 0.25
    inputs, outputs = [query, tiles(codes, 32), scale, weight], [distance.astype(np.float16), flags(2).reshape(32)]
    return plain("distance_ivf_int8_cos_l1", inputs, outputs, 16 * HALF)


@case
def distance_int8_cos_maxs_filter() -> Case:
    """Thresholds below everything: all distances are stored."""
    query = integers(24, 4, 64, low=1, high=20, dtype="int8")
    codes = integers(25, 2048, 64, low=1, high=20, dtype="int8")
    out = standing_out(26, 2048, 64, 4)
    scale, weight = np.full(16, 0.25, np.float16), np.where(out[0], 0.5, 0.0625).astype(np.float16)
    kept = np.random.default_rng(27).integers(0, 2, out.shape).astype(bool) | out
    distance = np.where(kept, (wide(query) @ wide(codes).T * 0.01) * wide(weight) * 0.25, LOWEST)
    bits, threshold = np.packbits(kept, axis=1, bitorder="little"), np.full((4, 32), -1, np.float16)
    inputs = [query, bits, tiles(codes, 32), scale, weight, actual(2, 2048, 0, 256, 1, 2048), threshold]
    return search("distance_int8_cos_maxs_filter", inputs, distance, 64, 2, choose=np.maximum, shown=kept)


@case
def distance_masked_sq8_ip_maxs_dim64() -> Case:
    inputs, distance, kept = masked(28, 16, 4096, 64)
    return search("distance_masked_sq8_ip_maxs_dim64", inputs, distance, 64, 2, choose=np.maximum, shown=kept)


@case
def sample_whole_softmax() -> Case:
    """softmax(x w) by whole-tensor calls; the kernel goes on behind the tensors where they have more than one row."""
    x, w = numbers(33, 1, 32), numbers(34, 1, 32)
    y = softmax(wide(x) * wide(w)).astype(np.float16)
    arguments = [described(a) for a in (x, w, y)]
    return Case("softmax_tik", arguments, [x, w], [y], error=16 * HALF, folder="5_custom_op_dev/tbe/impl")
