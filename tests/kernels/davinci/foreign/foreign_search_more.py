"""Vector search, continued: the kernels of https://github.com/Ascend/IndexSDK that come next in the blind sample.

Two of the sample have no case: distance_int8_l2_full_mins_with_mask and distance_int8_l2_mins_with_mask multiply int32 by a
number (vmuls), which Ascend 910 does not have; they are refused where they do.
"""

from __future__ import annotations

import numpy as np
from foreign_arithmetic import HALF, wide
from foreign_cases import Array, Case, case, described, integers, numbers
from foreign_search import PLACE, actual, flags, search, standing_out, tiles

LOWEST = -65504.0


def plain(file: str, inputs: list[Array], outputs: list[Array], error: float) -> Case:
    """A kernel without the best of each batch."""
    return Case(file, [described(a) for a in (*inputs, *outputs)], inputs, outputs, error=error, **PLACE)


@case
def int8_l2_norm() -> Case:
    x = integers(1, 256, 64, low=-90, high=91, dtype="int8")
    diagonal = (np.arange(128)[:, None] % 16 == np.arange(16)).astype(np.float16)
    norms = (1 / np.sqrt(0.01 * np.square(wide(x)).sum(axis=1))).astype(np.float16)
    return plain("int8_l2_norm", [x, diagonal, actual(1, 256)[0]], [norms], 4 * HALF)


@case
def distance_binary_float() -> Case:
    """A bit of a code is 1 or -1. The queries have one direction, so that one code is the best for all."""
    direction = numbers(2, 1, 256)
    query = (wide(direction) * np.array([[0.5], [1], [1.5], [2]])).astype(np.float16)
    codes = np.where(standing_out(3, 2048, 64)[0][:, None], direction > 0, integers(4, 2048, 256, high=2) > 0)
    distance = wide(query) @ np.where(codes, 1, -1).T
    bits = np.packbits(codes, axis=1, bitorder="little").reshape(128, 1, 16, 32)
    inputs = [query, bits, actual(1, 2048)[0]]
    return search("distance_binary_float", inputs, distance, 64, 2, choose=np.maximum, error=2 * HALF)


@case
def distance_table_build() -> Case:
    """Squares of distances between what is left of a query beside a coarse centre and the centres of each quarter."""
    query, centres, coarse = numbers(5, 2, 64), numbers(6, 4, 64 * 16), numbers(7, 10, 64)
    sequence = integers(8, 2, 8, high=10)
    left = (wide(query)[:, None] - wide(coarse)[sequence]).astype(np.float16)
    parts = wide(left).reshape(2, 8, 4, 1, 16) - wide(centres).reshape(4, 64, 16)
    table = np.square(parts).sum(axis=-1).astype(np.float16)
    return plain("distance_table_build", [query, centres, sequence, coarse], [table, flags(1)[0]], 8 * HALF)


@case
def distance_flat_subcenters() -> Case:
    query, centres, norms = numbers(9, 4, 64), numbers(10, 12 * 16, 64), numbers(11, 12, 16, low=5, high=20)
    chosen = integers(12, 4, 16, high=12, dtype="uint16")
    products = (wide(query) @ wide(centres).T).reshape(4, 12, 16)
    distance = wide(norms)[chosen] - 2 * products[np.arange(4)[:, None], chosen]
    inputs = [query, tiles(centres, group=16), norms, chosen]
    return plain("distance_flat_subcenters", inputs, [distance.astype(np.float16), flags(2)], 4 * HALF)


@case
def distance_ivf_sq8_ipx() -> Case:
    """Segments of 64 codes in a page of 8192, twelve for each query."""
    query, codes = numbers(13, 4, 64, low=0), integers(14, 8192, 64, high=128, dtype="uint8")
    codes[standing_out(15, 8192, 16)[0]] = 255
    step, least = numbers(16, 64, low=0.5, high=1), numbers(17, 64, low=-0.5, high=0)
    segment = np.stack([np.random.default_rng(i).permutation(128)[:12] for i in range(4)])
    distance = wide(query) @ ((wide(codes) + 0.5) / 255 * wide(step) + wide(least)).T
    chosen = (segment[:, :, None] * 64 + np.arange(64)).reshape(4, -1)
    base = codes.reshape(8192, 4, 16).transpose(1, 0, 2).reshape(-1)
    inputs = [query, base, (segment * 64 * 16).astype(np.uint64), np.stack([step, least])]
    return search("distance_ivf_sq8_ipx", inputs, np.take_along_axis(distance, chosen, 1), 16, 2, choose=np.maximum)


@case
def sample_scatter_nd_add() -> Case:
    x, new = numbers(18, 16, 32, dtype="float32"), numbers(19, 6, 32, dtype="float32")
    index = np.array([[3], [7], [1], [15], [0], [7]], np.int32)
    y = x.copy()
    np.add.at(y, index[:, 0], new)
    arguments = [described(a) for a in (x, index, new, y)]
    return Case(
        "scatter_nd_add", arguments, [x, index, new], [y], error=2.0**-23, folder="1_custom_op/tbe/impl",
        inplace={"out_gm": "var_gm"},
    )  # fmt: skip


@case
def l2_norm_flat_sub() -> Case:
    x = numbers(20, 64, 64)
    norms = np.square(wide(x)).sum(axis=1).astype(np.float32)[:, None].repeat(16, axis=1)
    return plain("l2_norm_flat_sub", [x], [norms, x.reshape(64, 4, 16).transpose(1, 0, 2).copy()], 1e-5)


def masked_products(seed: int, rows: int, batch: int) -> tuple[list[Array], Array, Array]:
    """Queries of one direction, bits of what is kept, codes; the products, and which are kept."""
    direction, codes = numbers(seed, 1, 64), numbers(seed + 1, 2048, 64)
    query = (wide(direction) * np.linspace(0.5, 2, rows)[:, None]).astype(np.float16)
    out = standing_out(seed + 2, 2048, batch, rows)
    codes[out[0]] = direction
    kept = np.random.default_rng(seed).integers(0, 2, out.shape).astype(bool) | out
    bits = np.packbits(kept, axis=1, bitorder="little")
    distance = np.where(kept, wide(query) @ wide(codes).T, LOWEST)
    return [query, bits, tiles(codes), actual(1, 2048, 0, 256, 1)[0]], distance, kept


@case
def distance_flat_ip_maxs_batch() -> Case:
    inputs, distance, kept = masked_products(21, 8, 32)
    return search("distance_flat_ip_maxs_batch", inputs, distance, 32, 2, choose=np.maximum, error=2 * HALF, shown=kept)


@case
def distance_flat_ip_maxs() -> Case:
    inputs, distance, kept = masked_products(24, 4, 64)
    return search("distance_flat_ip_maxs", inputs, distance, 64, 2, choose=np.maximum, error=2 * HALF, shown=kept)


@case
def sample_blast() -> Case:
    """Alignment scores of Needleman and Wunsch: gap -5; equal letters 2, 1 with 2 or 3 with 4 -5, other pairs -7."""
    first, others = integers(33, 16, low=1, high=5, dtype="int16"), integers(34, 512, 16, low=1, high=5, dtype="int16")
    scores = []
    for row in others:
        table = np.zeros((17, 17), int)
        table[:, 0] = table[0] = -5 * np.arange(17)
        for i, b in enumerate(row, 1):
            for j, a in enumerate(first, 1):
                pair = 2 if a == b else -5 if {int(a), int(b)} in ({1, 2}, {3, 4}) else -7
                table[i, j] = max(table[i - 1, j - 1] + pair, table[i, j - 1] - 5, table[i - 1, j] - 5)
        scores.append(table[16, 16])
    y, table = np.array(scores, np.int16), np.zeros(400, np.int16)
    arguments = [described(a) for a in (first, others, table, y)]
    return Case(
        "blast_tik", arguments, [first, others, table], [y], folder="blast_tik/tbe/impl", finding=("RaceError", "races")
    )
