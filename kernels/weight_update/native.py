"""The step of the weights by the compiled kernel; `reference.py` says what it means."""

from __future__ import annotations

from typing import Optional

import numpy as np

from bert_thor.kernels.arrays import Array, check_array, elements_of_parts, make_outputs
from bert_thor.kernels.library import load_native


def weight_update(
    weight: Array,
    direction: Array,
    factors: Array,
    rate: float,
    decay: float,
    *,
    threads: int = 0,
    out: Optional[tuple[Array]] = None,
) -> Array:
    """`reference.weight_update`; the arrays are float32.

    `threads` 0: `library.num_threads()`; the bits do not depend on it. `out`: a tuple with the array to write into,
    which may be `weight` or `direction`. Raises TypeError, ValueError or KernelError.
    """
    check_array("weight_update", "weight", weight, (np.float32,))
    check_array("weight_update", "direction", direction, (np.float32,), weight.shape)
    parts, elements = elements_of_parts("weight_update", "direction", direction, factors)
    outputs = make_outputs("weight_update", out, (weight.shape,), (np.float32,))
    load_native().weight_update_f32(weight, direction, factors, parts, elements, rate, decay, *outputs, threads)
    return outputs[0]
