"""Dropout as a MindSpore operator."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
from mindspore import Tensor, nn, ops

from bert_thor.kernels.arrays import check_site
from bert_thor.ops._backend import choose
from bert_thor.ops._custom import SAME, CpuCell, cpu, dtypes

Dropout = Callable[[Tensor, Tensor], Tensor]


def dropout(probability: float, site: int) -> Dropout:
    """The operator (x, seed) -> x * keep / (1 - probability).

    Which elements are kept follows from their index, `seed` and `site`, the number of this dropout in the network, alone:
    the mask is recomputed in the gradient, never stored. x [...] float32, bfloat16 (cpu) or float16 (mindspore), and the
    result like x; probability in [0, 1), 0 copies x; seed [4] int32 = (key low, key high, step, slice): change the step to get another
    mask; x is number `slice` of equal slices of the global rows, so that all slices together drop what one process would.
    Gradients flow to x. Graph mode and PyNative.

    With MindSpore's own operator the masks come from the device's generator and not from `seed`.
    """
    backends: dict[str, Callable[[float, int], Dropout]] = {"mindspore": DropoutMindSpore, "cpu": DropoutCpu}
    return backends[choose("dropout", backends)](probability, check_site("dropout", site))


def _backward(x: Any, probability: Any, seed: Any, site: Any, out: Any, dout: Any) -> Any:
    dx = _dropout_of_gradient(dout, probability, seed, site)
    return dx, ops.zeros_like(probability), ops.zeros_like(seed), ops.zeros_like(site)


_dropout_of_gradient = cpu("dropout", lambda x, probability, seed, site: x, dtypes("dropout", 0, SAME))
_dropout = cpu("dropout", lambda x, probability, seed, site: x, dtypes("dropout", 0, SAME), bprop=_backward)


class DropoutCpu(CpuCell):
    """The kernel for CPUs."""

    def __init__(self, probability: float, site: int) -> None:
        super().__init__()
        self.probability = Tensor(np.array([probability], np.float32))
        self.site = Tensor(np.array([site], np.int32))

    def construct(self, x: Tensor, seed: Tensor) -> Tensor:
        """Return x with elements dropped."""
        return _dropout(x, self.probability, seed, self.site)


class DropoutMindSpore(nn.Cell):
    """MindSpore's own operator: it keeps the mask for its gradient."""

    def __init__(self, probability: float, site: int) -> None:
        super().__init__()
        self.drops = probability > 0.0
        self.operator = ops.Dropout(1.0 - probability, 0, site + 1)

    def construct(self, x: Tensor, seed: Tensor) -> Tensor:
        """Return x with elements dropped."""
        return self.operator(x)[0] if self.drops else x
