"""Dropout as a MindSpore operator: the mask is recomputed in the gradient, never stored."""

from __future__ import annotations

from typing import Any

import mindspore as ms
from mindspore import Tensor, ops

from bert_thor.ops._custom import aot


def _backward(x: Any, probability: Any, seed: Any, site: Any, out: Any, dout: Any) -> Any:
    dx = _dropout_of_gradient(dout, probability, seed, site)
    return dx, ops.zeros_like(probability), ops.zeros_like(seed), ops.zeros_like(site)


_dropout_of_gradient = aot("dropout", lambda x, probability, seed, site: x, ms.float32)
_dropout = aot("dropout", lambda x, probability, seed, site: x, ms.float32, bprop=_backward)


def dropout(x: Tensor, probability: Tensor, seed: Tensor, site: Tensor) -> Tensor:
    """x * keep / (1 - probability); which elements are kept follows from their index, `seed` and `site` alone.

    x [...] float32; probability [1] float32 in [0, 1), 0 copies x; seed [4] int32 = (key low, key high, step, slice):
    change the step to get another mask; x is number `slice` of equal slices of the global rows, so that all slices
    together drop what one process would. site [1] int32: which dropout of the network. Gradients flow to x. Graph mode
    and PyNative.
    """
    return _dropout(x, probability, seed, site)
