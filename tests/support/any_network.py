"""Small networks that know nothing of THOR, and what tests of it share."""

from __future__ import annotations

from typing import Any

import numpy as np
from mindspore import Parameter, Tensor, nn, ops

KEPT: list[Any] = []


def kept(cell: Any) -> Any:
    """MindSpore knows a cell that it has compiled by its address, and would take a new one at a freed address for it."""
    KEPT.append(cell)
    return cell


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def squares(y: Tensor, target: Tensor) -> Tensor:
    return ((y - target) ** 2).mean()


class Mixed(nn.Cell):
    """Every kind of parameter that THOR has to do with."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 8)
        self.first = nn.Dense(8, 12, activation="tanh")
        self.norm = nn.LayerNorm((12,))
        self.second = nn.Dense(12, 6, has_bias=False)
        self.convolution = nn.Conv1d(4, 4, 3)
        self.bare = Parameter(np.ones((6, 6), np.float32), "bare")

    def construct(self, ids: Tensor) -> Tensor:
        """ids [B, 4] to [B, 4, 6]."""
        y = self.second(self.norm(self.first(self.table(ids))))
        return ops.matmul(self.convolution(y), self.bare)


def mixed_batch(seed: int) -> tuple[Tensor, Tensor]:
    ids = np.random.default_rng(seed).integers(0, 11, (5, 4)).astype(np.int32)
    return Tensor(ids), Tensor(normal(seed, 5, 4, 6))


class OneLayer(nn.Cell):
    """y = x Wᵀ + b."""

    def __init__(self, layer: nn.Cell) -> None:
        super().__init__()
        self.layer = layer

    def construct(self, x: Tensor) -> Tensor:
        return self.layer(x)
