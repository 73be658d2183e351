"""Dropout and its counter-based generator in NumPy: what the operation means."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

UInt32 = NDArray[np.uint32]

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS = (np.uint32(0x9E3779B9), np.uint32(0xBB67AE85))
_LOW, _BITS = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox4x32(counter: ArrayLike, key: ArrayLike) -> UInt32:
    """Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; 2011).

    counter [..., 4] and key [2] are uint32; returns the four words of every counter, uint32 [..., 4].
    """
    c = np.array(counter, np.uint32)
    k0, k1 = np.array(key, np.uint32)
    with np.errstate(over="ignore"):
        for _ in range(10):
            p0 = _MULTIPLIERS[0] * c[..., 0].astype(np.uint64)
            p1 = _MULTIPLIERS[1] * c[..., 2].astype(np.uint64)
            high0, high1 = (p0 >> _BITS).astype(np.uint32), (p1 >> _BITS).astype(np.uint32)
            low0, low1 = (p0 & _LOW).astype(np.uint32), (p1 & _LOW).astype(np.uint32)
            c = np.stack([high1 ^ c[..., 1] ^ k0, low1, high0 ^ c[..., 3] ^ k1, low0], axis=-1)
            k0, k1 = k0 + _KEY_STEPS[0], k1 + _KEY_STEPS[1]
    return c


def dropout_scale(shape: tuple[int, ...], probability: float, seed: ArrayLike, site: int) -> NDArray[np.float32]:
    """What dropout multiplies with: 0 for a dropped element, 1 / (1 - probability) for a kept one.

    The element of index i is kept where word i % 4 of the counter (i / 4 mod 2^32, i / 2^34, step, site) under the key
    (key[0], key[1]) is at least probability * 2^32. Indices count flat, and start at slice times the number of
    elements: this is one of equal slices of a larger array. `seed` is int32 [4] = (key[0], key[1], step, slice); seed
    and site are bit patterns. 0 <= probability < 1, rounded to float32 first.
    """
    p = float(np.float32(probability))
    if p == 0:
        return np.ones(shape, np.float32)
    key_step_slice = np.asarray(seed, np.int32).view(np.uint32)
    n = int(np.prod(shape))
    first = int(key_step_slice[3]) * n
    block = np.arange(first // 4, (first + n + 3) // 4, dtype=np.uint64)
    counter = np.empty((block.size, 4), np.uint32)
    counter[:, 0], counter[:, 1] = block & _LOW, block >> _BITS
    counter[:, 2], counter[:, 3] = key_step_slice[2], np.int32(site).view(np.uint32)
    words = philox4x32(counter, key_step_slice[:2]).reshape(-1)[first % 4 : first % 4 + n].reshape(shape)
    keep = words >= np.uint32(int(p * 2**32))
    return np.where(keep, np.float32(1.0 / (1.0 - p)), np.float32(0.0)).astype(np.float32)


def dropout(x: ArrayLike, probability: float, seed: ArrayLike, site: int) -> NDArray[np.float32]:
    """x * dropout_scale(x.shape, ...), float32. Applied to dy it is its own gradient."""
    scale = dropout_scale(np.shape(x), probability, seed, site)
    return (np.asarray(x, np.float64) * scale).astype(np.float32)
