"""L2 norms of the parts of a tensor by the compiled kernel; `reference.py` says what they mean."""

from __future__ import annotations

from typing import Optional

import numpy as np

from bert_thor.kernels.arrays import Array, check_array, make_outputs
from bert_thor.kernels.library import load_native


def l2_norm(x: Array, parts: int = 1, *, threads: int = 0, out: Optional[tuple[Array]] = None) -> Array:
    """`reference.l2_norm` of a float32 array.

    `threads` 0: `library.num_threads()`; the bits do not depend on it. `out`: a tuple with the array to write into.
    Raises TypeError, ValueError or KernelError.
    """
    check_array("l2_norm", "x", x, (np.float32,))
    if parts < 1 or x.size % parts != 0:
        raise ValueError(f"l2_norm: {x.size} elements do not fall into {parts} equal parts; pass a divisor.")
    outputs = make_outputs("l2_norm", out, ((parts,),), (np.float32,))
    load_native().l2_norm_f32(x, parts, x.size // parts, outputs[0], threads)
    return outputs[0]
