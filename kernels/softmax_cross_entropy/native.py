"""Weighted softmax cross-entropy by the compiled kernel; `reference.py` says what it means."""

from __future__ import annotations

from typing import Optional

import numpy as np

from bert_thor.kernels.arrays import Array, check_array, make_outputs
from bert_thor.kernels.library import load_native


def softmax_cross_entropy(
    logits: Array,
    bias: Array,
    labels: Array,
    weights: Array,
    *,
    threads: int = 0,
    out: Optional[tuple[Array, Array, Array]] = None,
) -> tuple[Array, ...]:
    """(loss [1], correct [1], log_sum_exp [rows]) of `reference.softmax_cross_entropy`.

    logits float32, or uint16 holding bfloat16 bit patterns; labels int32; bias, weights and the results float32.

    `threads` 0: `library.num_threads()`; the bits do not depend on it. `out`: arrays to write into. Raises TypeError,
    ValueError or KernelError.
    """
    rows, classes = _check("softmax_cross_entropy", logits, bias, labels, weights)
    outputs = make_outputs("softmax_cross_entropy", out, ((1,), (1,), (rows,)), (np.float32,) * 3)
    native = load_native()
    call = native.softmax_cross_entropy_f32 if logits.dtype == np.float32 else native.softmax_cross_entropy_bf16
    call(logits, bias, labels, weights, rows, classes, *outputs, threads)
    return outputs


def softmax_cross_entropy_grad(
    dloss: Array,
    logits: Array,
    bias: Array,
    labels: Array,
    weights: Array,
    log_sum_exp: Array,
    *,
    threads: int = 0,
    out: Optional[tuple[Array, Array]] = None,
) -> tuple[Array, ...]:
    """(dlogits, dbias) of `reference.softmax_cross_entropy_grad`; dloss [1], log_sum_exp from the forward pass.

    dlogits is stored like logits. `out[0]` may be `logits`: the gradient then takes their place.
    """
    operation = "softmax_cross_entropy_grad"
    rows, classes = _check(operation, logits, bias, labels, weights)
    check_array(operation, "dloss", dloss, (np.float32,), (1,))
    check_array(operation, "log_sum_exp", log_sum_exp, (np.float32,), (rows,))
    outputs = make_outputs(operation, out, (logits.shape, (classes,)), (logits.dtype.type, np.float32))
    native, narrow = load_native(), logits.dtype != np.float32
    call = native.softmax_cross_entropy_grad_bf16 if narrow else native.softmax_cross_entropy_grad_f32
    call(dloss, logits, bias, labels, weights, log_sum_exp, rows, classes, *outputs, threads)
    return outputs


def _check(operation: str, logits: Array, bias: Array, labels: Array, weights: Array) -> tuple[int, int]:
    check_array(operation, "logits", logits, (np.float32, np.uint16))
    if logits.ndim != 2 or logits.shape[1] == 0:
        raise ValueError(f"{operation}: logits has shape {logits.shape}; pass a matrix with at least one column.")
    rows, classes = logits.shape
    check_array(operation, "bias", bias, (np.float32,), (classes,))
    check_array(operation, "labels", labels, (np.int32,), (rows,))
    check_array(operation, "weights", weights, (np.float32,), (rows,))
    outside = labels[(labels < 0) | (labels >= classes)]
    if outside.size:
        raise ValueError(
            f"{operation}: label {outside[0]} is outside [0, {classes}); labels index the columns of logits."
        )
    return rows, classes
