"""The preconditioned gradient by the compiled kernel; `reference.py` says what it means."""

from __future__ import annotations

from typing import Optional

import numpy as np

from bert_thor.kernels.arrays import Array, check_array, make_outputs
from bert_thor.kernels.library import load_native


def precondition(
    g_inverse: Array, gradient: Array, a_inverse: Array, *, threads: int = 0, out: Optional[tuple[Array]] = None
) -> Array:
    """[outputs, inputs] float32 of `reference.precondition`; every argument is float32.

    `threads` 0: `library.num_threads()`; the bits do not depend on it. `out`: a tuple with the array to
    write into, none of the inputs.
    Raises TypeError, ValueError or KernelError.
    """
    check_array("precondition", "gradient", gradient, (np.float32,))
    if gradient.ndim != 2:
        raise ValueError(f"precondition: gradient has shape {gradient.shape}; pass [outputs, inputs].")
    outputs, inputs = gradient.shape
    g_block = _block_edge("g_inverse", g_inverse, "outputs", outputs)
    a_block = _block_edge("a_inverse", a_inverse, "inputs", inputs)
    (result,) = make_outputs("precondition", out, (gradient.shape,), (np.float32,))
    call = load_native().precondition_f32
    call(g_inverse, g_block, gradient, outputs, inputs, a_inverse, a_block, result, threads)
    return result


def _block_edge(name: str, packed: Array, side_name: str, side: int) -> int:
    check_array("precondition", name, packed, (np.float32,))
    if packed.ndim != 3 or packed.shape[1] != packed.shape[2] or packed.shape[1] < 1:
        raise ValueError(f"precondition: {name} has shape {packed.shape}; pass [blocks, edge, edge] with edge >= 1.")
    blocks = -(-side // packed.shape[1])
    if packed.shape[0] != blocks:
        raise ValueError(
            f"precondition: {name} has {packed.shape[0]} blocks of edge {packed.shape[1]}; "
            f"{side} {side_name} need {blocks}."
        )
    return packed.shape[1]
