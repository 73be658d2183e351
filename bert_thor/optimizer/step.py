"""The compiled graphs of a training step: gradients (with or without factors), and the update.

The host sees the loss and the gradient's norm between them, so a step that is not finite is dropped before it can touch a weight, and a
block that cannot be inverted is treated before its inverse is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from inspect import Parameter as Argument
from inspect import signature
from typing import Any

import mindspore as ms
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from bert_thor.ops.l2_norm import l2_norm
from bert_thor.optimizer.rule import Rule
from bert_thor.parallel.collectives import Exchange


class Forward(nn.Cell):
    """The losses of a batch: inputs through the network, its outputs and the labels through the loss."""

    def __init__(self, network: nn.Cell, loss: Any, inputs: int) -> None:
        super().__init__(auto_prefix=False)
        self.network, self.loss, self.inputs = network, loss, inputs

    def construct(self, *batch: Tensor) -> Any:
        """Return (loss, its parts): what the loss returns, with the loss itself as the only part where it returns one number."""
        outputs = self.network(*batch[: self.inputs])
        if not isinstance(outputs, (tuple, list)):
            outputs = (outputs,)
        losses = self.loss(*outputs, *batch[self.inputs :])
        if not isinstance(losses, (tuple, list)):
            losses = (losses, losses)
        return losses


class Gradients(nn.Cell):
    """Losses, the global gradient norm, gradients of the weights, the factors that the probes stand for, and how often each is used."""

    def __init__(
        self,
        forward: nn.Cell,
        weights: Sequence[Parameter],
        probes: Sequence[Parameter],
        uses: Sequence[Parameter],
        exchange: Exchange,
    ) -> None:
        super().__init__(auto_prefix=False)
        self.forward, self.exchange = forward, exchange
        self.probes = ParameterTuple(
            [*probes, *uses]
        )  # a graph from the compile cache finds its parameters in the cell
        self.weight_count, self.exchanged = len(weights), len(weights) + len(probes)
        self.norm = l2_norm()
        self.backward = ms.value_and_grad(forward, None, ParameterTuple([*weights, *probes, *uses]), has_aux=True)

    def construct(self, *batch: Tensor) -> Any:
        """Return (losses, norm, gradients, factors, uses)."""
        losses, gradients = self.backward(*batch)
        uses = gradients[self.exchanged :]
        losses, gradients = self.exchange(losses, gradients[: self.exchanged])
        weights = gradients[: self.weight_count]
        norms = ()  # type: Any
        for gradient in weights:
            norms = norms + (self.norm(gradient),)  # noqa: RUF005 - graph mode of MindSpore 2.0 has no starred tuples
        norm = self.norm(ops.concat(norms)).reshape(())
        return losses, norm, weights, gradients[self.weight_count :], uses


class Update(nn.Cell):
    """Applies every rule to its gradient."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        super().__init__(auto_prefix=False)
        self.rules = nn.CellList(list(rules), auto_prefix=False)

    def construct(
        self, scale: Tensor, rate: Tensor, first_rate: Tensor, correction: Tensor, root2: Tensor,
        root_damping: Tensor, samples: Tensor, *gradients: Tensor
    ) -> Tensor:  # fmt: skip
        """Change all parameters; returns `scale` when all are done, so that the caller can wait for it. See `rule` for the numbers."""
        numbers = {
            "scale": scale,
            "rate": rate,
            "first_rate": first_rate,
            "correction": correction,
            "root2": root2,
            "root_damping": root_damping,
            "samples": samples,
        }
        done = scale
        for rule, gradient in zip(self.rules, gradients):
            done = ops.depend(done, rule(gradient, numbers))
        return done


NUMBERS = tuple(
    name
    for name, argument in signature(Update.construct).parameters.items()
    if name != "self" and argument.kind is not Argument.VAR_POSITIONAL
)
"""The names of the scalars that an update takes, in the order of its arguments."""
