"""Small networks that know nothing of THOR, and what tests of it share."""

from __future__ import annotations

from typing import Any

import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from bert_thor.optimizer import Thor

KEPT: list[Any] = []


def kept(cell: Any) -> Any:
    """MindSpore knows a cell that it has compiled by its address, and would take a new one at a freed address for it."""
    KEPT.append(cell)
    return cell


class Start:
    """A place in a training to go back to: graphs stay compiled, so that one optimizer can run more than once from the same start."""

    def __init__(self, thor: Thor) -> None:
        self.thor, self.state = thor, thor.state_dict()
        self.weights = {parameter.name: parameter.asnumpy().copy() for parameter in thor.network.get_parameters()}

    def again(self) -> Thor:
        """The optimizer, with weights, state and place in the schedule as they were."""
        for parameter in self.thor.network.get_parameters():
            parameter.set_data(Tensor(self.weights[parameter.name].copy()))
        self.thor.load_state_dict(self.state)
        return self.thor


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
