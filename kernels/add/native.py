"""The sum of two tensors by the compiled kernel; `reference.py` says what it means."""

from __future__ import annotations

from typing import Optional

import numpy as np

from bert_thor.kernels.arrays import Array, check_array, make_outputs
from bert_thor.kernels.library import load_native


def add(a: Array, b: Array, *, threads: int = 0, out: Optional[tuple[Array]] = None) -> Array:
    """`reference.add`: a, b [...] float32, or both uint16 holding bfloat16 bit patterns; the sum is stored like them.

    `threads` 0: `library.num_threads()`; the bits do not depend on it. `out`: a tuple with the array to write into, which
    may be a or b. Raises TypeError, ValueError or KernelError.
    """
    check_array("add", "a", a, (np.float32, np.uint16))
    check_array("add", "b", b, (a.dtype.type,), a.shape)
    outputs = make_outputs("add", out, (a.shape,), (a.dtype.type,))
    native = load_native()
    call = native.add_f32 if a.dtype == np.float32 else native.add_bf16
    call(a, b, a.size, outputs[0], threads)
    return outputs[0]
