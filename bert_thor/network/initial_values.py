"""What the parameters of a new network are, without MindSpore: conversions give them to heads that a checkpoint lacks."""

from __future__ import annotations

import zlib

import numpy as np


def initial_value(name: str, shape: tuple[int, ...], deviation: float, seed: int) -> np.ndarray:
    """Matrices and tables: normal numbers of this `deviation`, cut at two of them; norm scales 1, all else 0; float32.

    Each parameter has a generator of its own, seeded by (seed, its name): the start does not depend on the order of parameters, on the
    framework's version or on the number of devices.
    """
    if len(shape) == 2:
        generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
        return truncated_normal(generator, shape) * np.float32(deviation)
    return np.full(shape, float(name.endswith(".gamma")), np.float32)


def truncated_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers within two deviations, float32; those outside are drawn again."""
    values = generator.standard_normal(shape, dtype=np.float32)
    outside = np.abs(values) > 2
    while outside.any():
        values[outside] = generator.standard_normal(int(outside.sum()), dtype=np.float32)
        outside = np.abs(values) > 2
    return values
