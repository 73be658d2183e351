"""Dropout by the compiled kernel; `reference.py` says what it means."""

from __future__ import annotations

from typing import Optional

import numpy as np

from bert_thor.kernels.arrays import Array, check_array, check_site, make_outputs
from bert_thor.kernels.library import load_native


def dropout(
    x: Array, probability: float, seed: Array, site: int, *, threads: int = 0, out: Optional[tuple[Array]] = None
) -> Array:
    """`reference.dropout`: x [...] float32, or uint16 holding bfloat16 bit patterns; seed int32 [4].

    `threads` 0: `library.num_threads()`; the bits do not depend on it. `out`: a tuple with the array to write into.
    Raises TypeError, ValueError or KernelError.
    """
    check_array("dropout", "x", x, (np.float32, np.uint16))
    check_array("dropout", "seed", seed, (np.int32,), (4,))
    outputs = make_outputs("dropout", out, (x.shape,), (x.dtype.type,))
    native = load_native()
    call = native.dropout_f32 if x.dtype == np.float32 else native.dropout_bf16
    call(x, float(probability), seed, check_site("dropout", site), x.size, outputs[0], threads)
    return outputs[0]


def philox4x32(seed: Array, site: int, first_block: int, blocks: int) -> Array:
    """Words uint32 [blocks, 4] of the counters (block mod 2^32, block / 2^32, seed[2], site), key (seed[0], seed[1]).

    `site` is a bit pattern here, as the generator's known answers need it: -1 has all bits set.
    """
    check_array("philox", "seed", seed, (np.int32,), (4,))
    words = np.empty((blocks, 4), np.uint32)
    load_native().philox_u32(seed, int(site), int(first_block), blocks, words)
    return words
