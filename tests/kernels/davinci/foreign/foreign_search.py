"""Vector search: the kernels of https://github.com/Ascend/IndexSDK (feature_retrieval), distances and the best of each batch.

Codes lie in tiles of 16, one tile of the depth after the other. A best value has its place beside it, as the 16 bits of a
float16; every batch has one value that is clearly the best, so that rounding cannot change the place.
"""

from __future__ import annotations

import numpy as np
from foreign_arithmetic import HALF, wide
from foreign_cases import Array, Case, case, described, integers, numbers

PLACE = {"folder": "ascendfaiss/ops/tbe/impl", "package": "mxIndex_impl"}


def places(output: Array) -> Array:
    """The places of the best values: every second number, as bits."""
    return np.ascontiguousarray(output).reshape(-1).view(np.uint16)[1::2]


def tiles(codes: Array, depth: int = 16, group: int = 16) -> Array:
    """Rows x depth to [rows / group][depth tiles][group][depth of a tile]."""
    rows, columns = codes.shape
    return codes.reshape(rows // group, group, columns // depth, depth).transpose(0, 2, 1, 3).copy()


def flags(cores: int, width: int = 16) -> Array:
    """One flag per core; a whole block is stored, of which only the first number means anything."""
    flag = np.ones((cores, width), np.uint16)
    return np.ma.masked_array(flag, mask=np.broadcast_to(np.arange(width) > 0, flag.shape).copy())


def standing_out(seed: int, count: int, batch: int, rows: int = 1) -> Array:
    """True at one place of each batch."""
    place = np.random.default_rng(seed).integers(0, batch, count // batch)
    return np.broadcast_to((np.arange(batch) == place[:, None]).reshape(-1), (rows, count))


def best(distance: Array, batch: int, choose: np.ufunc = np.minimum) -> tuple[Array, Array]:
    """The best of each batch of every row, its place beside it; and the places alone."""
    groups = distance.reshape(len(distance), -1, batch)
    place = (groups.argmin(axis=2) if choose is np.minimum else groups.argmax(axis=2)).astype(np.uint16)
    value = choose.reduce(groups, axis=2).astype(np.float16)
    return np.stack([value, place.view(np.float16)], axis=2).reshape(len(distance), -1), place.reshape(-1)


def actual(cores: int, *values: int) -> Array:
    """The block that says how many codes there are."""
    block = np.zeros((cores, 8), np.uint32)
    block[:, : len(values)] = values
    return block


def search(
    file: str,
    inputs: list[Array],
    distance: Array,
    batch: int,
    cores: int,
    *,
    choose: np.ufunc = np.minimum,
    error: float = 16 * HALF,
    shown: Array | None = None,
) -> Case:
    """A kernel with three outputs: distances, the best of each batch, a flag per core.

    ``shown``: distances that are near ``distance``; the others are it, to the last bit.
    """
    pairs, place = best(distance, batch, choose)
    stored, exact = distance.astype(np.float16), [(1, places, place)]
    outputs = [stored, pairs, flags(cores)]
    arguments = [described(a) for a in (*inputs, *outputs)]
    if shown is not None:
        exact.append((0, lambda output: output[~shown], stored[~shown]))
        outputs[0] = np.ma.masked_array(stored, ~shown)
    return Case(file, arguments, inputs, outputs, error=error, exact=exact, **PLACE)


@case
def distance_ivf_int8_cos() -> Case:
    query, codes = integers(1, 1, 64, low=1, high=20, dtype="int8"), integers(2, 2048, 64, low=1, high=20, dtype="int8")
    out = standing_out(3, 2048, 32)[0]
    scale, weight = np.full(16, 0.25, np.float16), np.where(out, 0.5, 0.0625).astype(np.float16)
    distance = (wide(query) @ wide(codes).T * 0.01) * wide(weight) * 0.25
    inputs = [query, tiles(codes, 32), scale, weight, actual(2, 2048)]
    return search("distance_ivf_int8_cos", inputs, distance, 32, 2, choose=np.maximum)


@case
def distance_ivf_int8_l2_l1() -> Case:
    query = integers(4, 8, 64, low=-9, high=10, dtype="int8")
    codes = integers(5, 2048, 64, low=-9, high=10, dtype="int8")
    norms = np.square(wide(codes)).sum(axis=1).astype(np.int32)
    distance = np.square(wide(query)[:, None] - wide(codes)[None]).sum(axis=2) * 0.01
    inputs, outputs = [query, tiles(codes, 32), norms], [distance.astype(np.float16), flags(2).reshape(32)]
    arguments = [described(a) for a in (*inputs, *outputs)]
    return Case("distance_ivf_int8_l2_l1", arguments, inputs, outputs, error=4 * HALF, **PLACE)


def scalar_quantised(seed: int, rows: int, count: int, batch: int) -> tuple[list[Array], Array]:
    """Queries, codes, norms, steps and smallest values of codes x = (code + 1/2) / 255 step + smallest; the distances."""
    query, codes = numbers(seed, rows, 64), integers(seed + 1, count, 64, high=256, dtype="uint8")
    step, least = numbers(seed + 2, 64, low=0.5, high=1), numbers(seed + 3, 64, low=-0.5, high=0)
    decoded = (wide(codes) + 0.5) / 255 * wide(step) + wide(least)
    norms = (np.square(decoded).sum(axis=1) - 30 * standing_out(seed + 4, count, batch)[0]).astype(np.float32)
    distance = np.square(wide(query)).sum(axis=1)[:, None] - 2 * wide(query) @ decoded.T + norms
    return [query, tiles(codes), norms, step, least], distance


@case
def distance_sq8_l2_mins() -> Case:
    inputs, distance = scalar_quantised(10, 4, 4096, 64)
    return search("distance_sq8_l2_mins", [*inputs, actual(2, 4096, 0, 0, 0, 4096)], distance, 64, 2)


@case
def distance_ivf_sq8_l2() -> Case:
    inputs, distance = scalar_quantised(20, 1, 2048, 32)
    return search("distance_ivf_sq8_l2", [*inputs, actual(2, 2048)], distance, 32, 2)


@case
def distance_masked_sq8_l2_mins() -> Case:
    """A bit that is 0 makes a distance as large as it can be."""
    (query, *rest), distance = scalar_quantised(30, 4, 4096, 64)
    kept = np.random.default_rng(35).integers(0, 2, distance.shape).astype(bool) | standing_out(34, 4096, 64, 4)
    bits = np.packbits(kept, axis=1, bitorder="little")
    inputs = [query, bits, *rest, actual(2, 4096, 0, 512, 1, 4096)]
    masked = np.where(kept, distance, 65504.0)
    return search("distance_masked_sq8_l2_mins", inputs, masked, 64, 2, shown=kept)


@case
def distance_flat_l2_mins_at() -> Case:
    """Codes in pages of 512; their norms stand beside each of 16 queries."""
    query, codes = numbers(40, 32, 64), numbers(41, 1024, 64)
    query_norms = np.square(wide(query)).sum(axis=1).astype(np.float32)
    norms = (np.square(wide(codes)).sum(axis=1) - 60 * standing_out(42, 1024, 64)[0]).astype(np.float32)
    distance = wide(query_norms)[:, None] + wide(norms) - 2 * wide(query) @ wide(codes).T
    beside = np.repeat(norms.reshape(2, 1, 512, 1), 16, axis=3)
    inputs = [tiles(query, group=32), tiles(codes, group=512), query_norms, beside]
    return search("distance_flat_l2_mins_at", inputs, distance, 64, 2, error=4 * HALF)


@case
def distance_l2_mins_int8_at() -> Case:
    query = integers(43, 32, 64, low=-90, high=91, dtype="int8")
    codes = integers(44, 1024, 64, low=-90, high=91, dtype="int8")
    query_norms = np.square(wide(query)).sum(axis=1).astype(np.int32)
    norms = (np.square(wide(codes)).sum(axis=1) - 500000 * standing_out(45, 1024, 64)[0]).astype(np.int32)
    distance = (wide(query_norms)[:, None] + wide(norms) - 2 * wide(query) @ wide(codes).T) / 65536
    beside = np.repeat(norms.reshape(2, 1, 512, 1), 16, axis=3)
    inputs = [tiles(query, 32, 32), tiles(codes, 32, 512), query_norms, beside]
    return search("distance_l2_mins_int8_at", inputs, distance, 64, 2, error=4 * HALF)


@case
def distance_int8_cos_maxs_with_mask() -> Case:
    query = integers(46, 4, 64, low=1, high=20, dtype="int8")
    codes = integers(47, 2048, 64, low=1, high=20, dtype="int8")
    out = standing_out(48, 2048, 64, 4)
    scale, weight = np.full(16, 0.25, np.float16), np.where(out[0], 0.5, 0.0625).astype(np.float16)
    kept = np.random.default_rng(49).integers(0, 2, out.shape).astype(bool) | out
    distance = np.where(kept, (wide(query) @ wide(codes).T * 0.01) * wide(weight) * 0.25, -65504.0)
    bits = np.packbits(kept, axis=1, bitorder="little")
    inputs = [query, bits, tiles(codes, 32), scale, weight, actual(2, 2048)]
    return search(
        "distance_int8_cos_maxs_with_mask", inputs, distance, 64, 2, choose=np.maximum, error=16 * HALF, shown=kept
    )


@case
def l2_norm() -> Case:
    x, places = numbers(50, 512, 64), np.arange(16)
    diagonal = (np.arange(256)[:, None] % 16 == places).astype(np.float32)
    norms = np.square(wide(x)).sum(axis=1).astype(np.float32)
    inputs = [x, diagonal, actual(1, 512)[0]]
    outputs = [norms, tiles(x, group=32)]
    return Case("l2_norm", [described(a) for a in (*inputs, *outputs)], inputs, outputs, error=1e-5, **PLACE)


@case
def corr_compute() -> Case:
    x = numbers(51, 128, 64)
    inputs = [x.reshape(1, 8, 16, 64).transpose(0, 1, 3, 2).copy(), actual(1, 128)[0]]
    outputs = [(wide(x).T @ wide(x)).astype(np.float16), flags(1)]
    arguments = [described(a) for a in (*inputs, *outputs)]
    return Case("corr_compute", arguments, inputs, outputs, error=2 * HALF, **PLACE)


@case
def distance_ivf_sq8_ip8() -> Case:
    """Eight lists, one per core, in one memory."""
    query, codes = numbers(52, 1, 64, low=0), integers(53, 8 * 512, 64, high=128, dtype="uint8")
    codes[standing_out(54, 8 * 512, 32)[0]] = 255
    step, least = numbers(55, 64, low=0.5, high=1), numbers(56, 64, low=-0.5, high=0)
    distance = ((wide(codes) + 0.5) / 255 * wide(step) + wide(least)) @ wide(query)[0]
    starts, counts = np.arange(8, dtype=np.uint64) * 512 * 64, np.full(8, 512, np.uint32)
    inputs = [query, tiles(codes).reshape(-1), starts, np.stack([step, least]), counts]
    return search("distance_ivf_sq8_ip8", inputs, distance.reshape(8, 512), 32, 8, choose=np.maximum)


@case
def distance_ivf_int8_l2() -> Case:
    query = integers(57, 1, 64, low=-9, high=10, dtype="int8")
    codes = integers(58, 2048, 64, low=-9, high=10, dtype="int8")
    norms = (np.square(wide(codes)).sum(axis=1) - 9000 * standing_out(59, 2048, 32)[0]).astype(np.int32)
    distance = (np.square(wide(query)).sum() + wide(norms) - 2 * wide(query) @ wide(codes).T) * 0.01
    inputs = [query, tiles(codes, 32), norms, actual(2, 2048)]
    return search("distance_ivf_int8_l2", inputs, distance, 32, 2, error=4 * HALF)


def flat(seed: int, rows: int, count: int, batch: int) -> tuple[list[Array], Array]:
    """Queries, codes, norms; the squares of distances."""
    query, codes = numbers(seed, rows, 64), numbers(seed + 1, count, 64)
    out = standing_out(seed + 2, count, batch)[0]
    norms = (np.square(wide(codes)).sum(axis=1) - 60 * out).astype(np.float16)
    distance = np.square(wide(query)).sum(axis=1)[:, None] + wide(norms) - 2 * wide(query) @ wide(codes).T
    return [query, tiles(codes), norms], distance


@case
def distance_flat_l2_mins() -> Case:
    inputs, distance = flat(60, 4, 512, 32)
    return search("distance_flat_l2_mins", inputs, distance, 32, 2, error=4 * HALF)


@case
def distance_compute_flat() -> Case:
    inputs, distance = flat(63, 8, 512, 32)
    outputs = [distance.astype(np.float16), flags(2).reshape(32)]
    arguments = [described(a) for a in (*inputs, *outputs)]
    return Case("distance_compute_flat", arguments, inputs, outputs, error=4 * HALF, **PLACE)
