"""soft_threshold by the compiled kernel; `reference.py` says what it means."""

from __future__ import annotations

from typing import Optional

import numpy as np

from bert_thor.kernels.arrays import Array, check_array, make_outputs
from bert_thor.kernels.library import load_native


def soft_threshold(x: Array, limit: float, *, threads: int = 0, out: Optional[tuple[Array]] = None) -> Array:
    """`reference.soft_threshold`; the arrays are float32.

    `threads` 0: `library.num_threads()`; the bits do not depend on it. `out`: a tuple with the array to write into, which
    may be `x`. Raises TypeError, ValueError or KernelError.
    """
    check_array("soft_threshold", "x", x, (np.float32,))
    outputs = make_outputs("soft_threshold", out, (x.shape,), (np.float32,))
    load_native().soft_threshold_f32(x, x.size, limit, *outputs, threads)
    return outputs[0]
