"""A seeded permutation of [0, n) that is computed place by place: nothing is stored, and any position can be asked for
at once.

A Feistel network permutes the numbers of 2h bits for the smallest 2h with 2^2h >= n, whatever its round function is; a
result that is n or more is permuted again until it falls below n (cycle walking, at most 4 passes on average), which
leaves a permutation of [0, n) (Black and Rogaway 2002, "Ciphers with arbitrary finite domains"). Round keys and round
function are SplitMix64's mixer. Only 64-bit integer arithmetic is used, so the order depends on no library's random
numbers and never changes with a version.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_ROUNDS = 8
_GOLDEN = 0x9E3779B97F4A7C15
_WORD = 2**64 - 1

_Words = npt.NDArray[np.uint64]


def permuted(positions: npt.NDArray[np.int64], size: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """What the permutation number `epoch` of [0, size) has at each of `positions` (each in [0, size)); int64, same shape."""
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    keys = _round_keys(seed, epoch)
    values = _feistel(positions.astype(np.uint64), half, keys)
    while (outside := values >= size).any():
        values[outside] = _feistel(values[outside], half, keys)
    return values.astype(np.int64)


def _feistel(values: _Words, half: int, keys: list[int]) -> _Words:
    mask, shift = np.uint64((1 << half) - 1), np.uint64(half)
    left, right = values >> shift, values & mask
    for key in keys:
        left, right = right, left ^ (_mixed(right + np.uint64(key)) & mask)
    return left << shift | right


def _mixed(words: _Words) -> _Words:
    """SplitMix64's output function (Steele, Lea and Flood 2014); products wrap modulo 2^64."""
    words = (words ^ words >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ words >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return words ^ words >> np.uint64(31)


def _round_keys(seed: int, epoch: int) -> list[int]:
    start = int(_mixed(np.array([seed & _WORD], np.uint64))[0]) + epoch * _ROUNDS * _GOLDEN
    counters = [(start + number * _GOLDEN) & _WORD for number in range(1, _ROUNDS + 1)]
    return [int(key) for key in _mixed(np.array(counters, np.uint64))]
