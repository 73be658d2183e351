"""Trains one network twice, with THOR and with MindSpore's own Adam, for each of five learning rates, and prints the best of both.

Both see the same batches, start from the same weights, and have the same rate in every step: linear warm-up over a tenth, then linear
decay.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any, Callable

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from bert_thor.optimizer import Thor

RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
LAST = 20
"""The loss that counts is the mean over this many last steps."""

Batches = Callable[[np.random.Generator], Iterator[tuple[Tensor, Tensor]]]


def compare(
    title: str, network: Callable[[], nn.Cell], loss: Any, batches: Batches, steps: int, **options: Any
) -> None:
    """Print the training loss of both, each with its best rate. `options` are THOR's."""
    rates, steps = arguments(title, steps)
    ms.set_context(mode=ms.GRAPH_MODE)
    ms.set_device("CPU")
    results: dict[str, list[float]] = {"thor": [], "adam": []}
    for rate in rates:
        curve = [rate * min((step + 1) / (0.1 * steps), (steps - step) / (0.9 * steps)) for step in range(steps)]
        for name in results:
            ms.set_seed(0)
            step = thor_step(network(), loss, curve, **options) if name == "thor" else adam_step(network(), loss, curve)
            pairs = batches(np.random.default_rng(0))
            losses = [step(*next(pairs)) for _ in range(steps)]
            results[name].append(float(np.mean(losses[-LAST:])))
            print(f"{name}, rate {rate:g}: training loss from {losses[0]:.4f} to {results[name][-1]:.4f}", flush=True)
    for name, found in results.items():
        best = int(np.nanargmin(found))
        print(f"{title}: {name} {found[best]:.4f} after {steps} steps (its best rate: {rates[best]:g})")


def arguments(title: str, steps: int) -> tuple[Sequence[float], int]:
    """The rates and the number of steps that the command line gives, or the script's own."""
    parser = argparse.ArgumentParser(description=f"THOR beside nn.Adam: {title}")
    parser.add_argument("--rates", type=float, nargs="+", default=RATES, help="learning rates to try")
    parser.add_argument("--steps", type=int, default=steps, help="steps of every run")
    given = parser.parse_args()
    if given.steps < LAST:
        parser.error(f"--steps is {given.steps}: the loss is a mean over the last {LAST} steps, so give {LAST} or more")
    return given.rates, given.steps


def thor_step(network: nn.Cell, loss: Any, curve: Sequence[float], **options: Any) -> Callable[[Tensor, Tensor], float]:
    """A step of THOR on `network`."""
    thor = Thor(network, loss, len(curve), learning_rate=curve, first_order_learning_rate=curve, **options)
    return lambda inputs, labels: thor.step(inputs, labels).loss


def adam_step(network: nn.Cell, loss: Any, curve: Sequence[float]) -> Callable[[Tensor, Tensor], float]:
    """A step of nn.Adam on `network`."""
    train = AdamStep(network, loss, nn.Adam(network.trainable_params(), learning_rate=list(curve)))
    return lambda inputs, labels: float(train(inputs, labels).asnumpy())


class AdamStep(nn.Cell):
    """Gradient and update of one batch."""

    def __init__(self, network: nn.Cell, loss: Any, optimizer: nn.Optimizer) -> None:
        super().__init__(auto_prefix=False)
        self.network, self.loss, self.optimizer = network.set_train(), loss, optimizer
        self.backward = ms.value_and_grad(self.forward, None, optimizer.parameters)

    def forward(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """The loss."""
        return self.loss(self.network(inputs), labels)

    def construct(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Change the parameters; return the loss."""
        loss, gradients = self.backward(inputs, labels)
        return ops.depend(loss, self.optimizer(gradients))
