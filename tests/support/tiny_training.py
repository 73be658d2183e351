"""A network small enough to restate: the optimizer on it, step by step beside its restatement in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
from float64_bert import Float64Bert, Pass
from mindspore import Tensor
from restated_optimizers import Restated

from bert_thor.network.model import BertForPreTraining, PretrainingLoss
from bert_thor.network.sizes import BertConfig
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.optimizer.thor import StepResult, Thor
from bert_thor.training.inputs import groups_of

BLOCK = 8
SIZES = BertConfig(
    vocab_size=30,
    hidden_size=16,
    num_layers=2,
    num_heads=2,
    intermediate_size=20,  # 8 does not divide it: the last block is padded
    max_position=10,
    hidden_dropout=0.0,
    attention_dropout=0.0,
    initializer_range=0.3,  # large, so that attention is far from uniform
)
SEQUENCES, LENGTH, MASKED = 4, 8, 3
STEPS = 40
"""Length of the schedule; tests run its first steps."""
EPSILON = 2.0**-24


def edge(features: int, groups: int) -> int:
    """The edge of the diagonal blocks: they do not reach across query, key and value, each of which 8 divides."""
    return min(BLOCK, features // groups)


def batch(seed: int) -> tuple[np.ndarray, ...]:
    """Random rows with padding, and with unused places for predictions."""
    r = np.random.default_rng(seed)
    mask = (np.arange(LENGTH) < r.integers(5, LENGTH + 1, (SEQUENCES, 1))).astype(np.int32)
    ids = r.integers(1, SIZES.vocab_size, (SEQUENCES, LENGTH)).astype(np.int32) * mask
    weights = (np.arange(MASKED) < r.integers(1, MASKED + 1, (SEQUENCES, 1))).astype(np.float32)
    return (
        ids,
        mask,
        r.integers(0, 2, (SEQUENCES, LENGTH)).astype(np.int32) * mask,
        np.sort(r.integers(0, 5, (SEQUENCES, MASKED)), axis=1).astype(np.int32),
        r.integers(1, SIZES.vocab_size, (SEQUENCES, MASKED)).astype(np.int32),
        weights,
        r.integers(0, 2, SEQUENCES).astype(np.int32),
    )


def inputs_and_labels(columns: Any) -> tuple[list[Tensor], list[Tensor]]:
    """A batch as the network and its loss take it, without dropout."""
    tensors = [Tensor(column) for column in columns]
    return [*tensors[:4], Tensor(np.zeros(4, np.int32))], tensors[4:]


class TinyTraining:
    """One compiled optimizer, run from the same start as often as needed."""

    def __init__(self, config: OptimizerConfig, block: int = BLOCK, layers: int = 2, failures: Path = Path()) -> None:
        ms.set_context(mode=ms.GRAPH_MODE)
        self.config = replace(config, block=block)
        sizes = replace(SIZES, num_layers=layers)
        self.model = BertForPreTraining(sizes, seed=1)
        r = np.random.default_rng(2)  # biases and norms away from 0 and 1, so that nothing cancels
        for parameter in self.model.get_parameters():
            if parameter.ndim == 1:
                noise = 0.1 * r.standard_normal(parameter.shape).astype(np.float32)
                parameter.set_data(Tensor(parameter.asnumpy() + noise))
        self.thor = Thor(
            self.model,
            PretrainingLoss(),
            STEPS,
            config=self.config,
            groups=groups_of(sizes),
            strict=True,
            failures=failures,
        )
        self.parameters = [*self.model.get_parameters(), *self.thor.state()]
        self.start = {p.name: p.asnumpy().copy() for p in self.parameters}

    def reset(self) -> None:
        for parameter in self.parameters:
            parameter.set_data(Tensor(self.start[parameter.name].copy()))

    def weights(self) -> dict[str, np.ndarray]:
        return {p.name: p.asnumpy().copy() for p in self.model.get_parameters()}

    def gradient_pass(self, seed: int) -> Pass:
        return Float64Bert(self.weights(), SIZES.num_heads).run(batch(seed))

    def step(self, number: int) -> StepResult:
        return self.step_on(number, batch(number))

    def step_on(self, number: int, columns: Any) -> StepResult:
        self.thor.step_number = number
        return self.thor.step(*inputs_and_labels(columns))

    def largest_error(
        self,
        steps: int,
        refresh_interval: int,
        mutation: Callable[[Any], AbstractContextManager[Any]] = lambda thor: nullcontext(),
        block_edge: Callable[[int, int], int] = edge,
    ) -> float:
        """The largest difference between a step and its restatement, over all parameters and steps, as a multiple of the tolerance.

        Relative to the largest element of the step, an element may be off by ε·(64·rows + 8·n·condition): sums over the rows in
        the gradient, and the error of inverses of order n; and by 4ε of the weight itself.
        """
        self.reset()
        with mutation(self.thor):
            return max(self._errors(steps, refresh_interval, block_edge))

    def _errors(self, steps: int, refresh_interval: int, block_edge: Callable[[int, int], int]) -> Iterator[float]:
        restated = Restated(self.config, block_edge)
        for number in range(steps):
            before = self.weights()
            found = Float64Bert(before, SIZES.num_heads).run(batch(number))
            doubles = {name: value.astype(np.float64) for name, value in before.items()}
            expected = restated.step(doubles, found, number, STEPS, SEQUENCES, number % refresh_interval == 0)
            self.step(number)
            for name, value in self.weights().items():
                condition = restated.condition.get(name, 0.0)
                relative = 64 * SEQUENCES * LENGTH + 8 * max(value.shape) * condition
                scale = np.abs(expected[name] - doubles[name]).max()
                tolerance = EPSILON * (relative * scale + 4 * np.abs(doubles[name]).max())
                yield float(np.nan_to_num(np.abs(value - expected[name]).max() / tolerance, nan=np.inf))
