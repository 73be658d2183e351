"""Soft thresholding as a MindSpore operator."""

from __future__ import annotations

from typing import Any, Callable

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from bert_thor.ops._backend import choose
from bert_thor.ops._custom import cpu

SoftThreshold = Callable[[Tensor], Tensor]


def soft_threshold(limit: float) -> SoftThreshold:
    """The operator x -> sign(x) max(|x| - limit, 0), element by element, float32.

    It has no gradient. Graph mode and PyNative.
    """
    backends: dict[str, Callable[[float], SoftThreshold]] = {
        "mindspore": SoftThresholdMindSpore,
        "cpu": SoftThresholdCpu,
    }
    return backends[choose("soft_threshold", backends)](limit)


class SoftThresholdCpu(nn.Cell):
    """The kernel for CPUs, which takes the limit as a tensor."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = Tensor(np.array([limit], np.float32))
        self.operator: Any = cpu("soft_threshold", lambda x, limit: x, ms.float32)

    def construct(self, x: Tensor) -> Any:
        """Return x, moved towards 0."""
        return self.operator(x, self.limit)


class SoftThresholdMindSpore(nn.Cell):
    """MindSpore's own operators."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit

    def construct(self, x: Tensor) -> Tensor:
        """Return x, moved towards 0."""
        return ops.sign(x) * ops.relu(ops.abs(x) - self.limit)
