"""Momentum by the compiled kernel; `reference.py` says what it means."""

from __future__ import annotations

from typing import Optional

import numpy as np

from bert_thor.kernels.arrays import Array, check_array, elements_of_parts, make_outputs
from bert_thor.kernels.library import load_native

Pair = Optional[tuple[Array, Array]]


def nesterov_momentum(
    average: Array, x: Array, factors: Array, decay: float, *, threads: int = 0, out: Pair = None
) -> tuple[Array, ...]:
    """(next, direction) of `reference.nesterov_momentum`; the arrays are float32.

    `threads` 0: `library.num_threads()`; the bits do not depend on it. `out`: (next, direction) to write into; next may
    be average, direction may be x. Raises TypeError, ValueError or KernelError.
    """
    parts, elements, outputs = _prepare("nesterov_momentum", average, x, factors, out)
    call = load_native().nesterov_momentum_f32
    call(average, x, factors, parts, elements, decay, 1.0 - decay, *outputs, threads)
    return outputs


def heavy_ball(
    average: Array, x: Array, factors: Array, decay: float, *, threads: int = 0, out: Pair = None
) -> tuple[Array, ...]:
    """(next, direction) of `reference.heavy_ball`; otherwise as `nesterov_momentum`."""
    parts, elements, outputs = _prepare("heavy_ball", average, x, factors, out)
    load_native().heavy_ball_f32(average, x, factors, parts, elements, decay, *outputs, threads)
    return outputs


def _prepare(operation: str, average: Array, x: Array, factors: Array, out: Pair) -> tuple[int, int, tuple[Array, ...]]:
    check_array(operation, "average", average, (np.float32,))
    check_array(operation, "x", x, (np.float32,), average.shape)
    parts, elements = elements_of_parts(operation, "x", x, factors)
    return parts, elements, make_outputs(operation, out, (x.shape, x.shape), (np.float32, np.float32))
