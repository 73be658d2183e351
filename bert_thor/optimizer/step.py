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
import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from bert_thor.ops.l2_norm import l2_norm
from bert_thor.optimizer.overflow_status import WatchedBackward, WatchedExchange
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


class ScaledForward(nn.Cell):
    """The losses of a batch with S times the loss, in float32, before them: its gradient is the one that is taken."""

    def __init__(self, forward: Forward) -> None:
        super().__init__(auto_prefix=False)
        self.forward = forward

    def construct(self, loss_scale: Tensor, *batch: Tensor) -> Any:
        """Return (S·loss, loss, its parts)."""
        losses = self.forward(*batch)
        results = (losses[0].astype(ms.float32) * loss_scale,)  # type: Any
        for loss in losses:
            results = results + (loss,)  # noqa: RUF005 - graph mode of MindSpore 2.0 has no starred tuples
        return results


class Backward(nn.Cell):
    """The backward pass over weights, probes and uses; `forward` returns what is differentiated, then what is reported beside it."""

    def __init__(
        self, forward: nn.Cell, weights: Sequence[Parameter], probes: Sequence[Parameter], uses: Sequence[Parameter]
    ) -> None:
        super().__init__(auto_prefix=False)
        self.forward = forward
        self.probes = ParameterTuple(
            [*probes, *uses]
        )  # a graph from the compile cache finds its parameters in the cell
        self.weight_count, self.exchanged = len(weights), len(weights) + len(probes)
        self.backward = ms.value_and_grad(forward, None, ParameterTuple([*weights, *probes, *uses]), has_aux=True)


class GlobalNorm(nn.Cell):
    """The L2 norm of all tensors together."""

    def __init__(self) -> None:
        super().__init__(auto_prefix=False)
        self.norm = l2_norm()

    def construct(self, tensors: Any) -> Tensor:
        """Return the norm, a scalar."""
        norms = ()  # type: Any
        for tensor in tensors:
            norms = norms + (self.norm(tensor),)  # noqa: RUF005 - graph mode of MindSpore 2.0 has no starred tuples
        return self.norm(ops.concat(norms)).reshape(())


class Gradients(Backward):
    """Losses, the global gradient norm, gradients of the weights, the factors that the probes stand for, and how often each is used."""

    def __init__(
        self,
        forward: nn.Cell,
        weights: Sequence[Parameter],
        probes: Sequence[Parameter],
        uses: Sequence[Parameter],
        exchange: Exchange,
    ) -> None:
        super().__init__(forward, weights, probes, uses)
        self.exchange = exchange
        self.norm = GlobalNorm()

    def construct(self, *batch: Tensor) -> Any:
        """Return (losses, norm, gradients, factors, uses)."""
        losses, gradients = self.backward(*batch)
        uses = gradients[self.exchanged :]
        losses, gradients = self.exchange(losses, gradients[: self.exchanged])
        weights = gradients[: self.weight_count]
        return losses, self.norm(weights), weights, gradients[self.weight_count :], uses


class Unscaled(nn.Cell):
    """Takes S out of exchanged gradients and factors, in float32: g/S, and F/S/S of second order, since S² alone could leave float32.

    `powers` says for each factor which power of S it has. Where S is a scale that may overflow (`checked`), the norm is not finite
    if a factor is not.
    """

    def __init__(self, weight_count: int, powers: Sequence[int], checked: bool = True) -> None:
        super().__init__(auto_prefix=False)
        self.weight_count, self.powers = weight_count, list(powers)
        self.checked = checked and len(self.powers) > 0
        self.norm = GlobalNorm()

    def construct(self, loss_scale: Tensor, gradients: Any) -> Any:
        """Return (norm, gradients of the weights, factors)."""
        weights = ()  # type: Any
        for gradient in gradients[: self.weight_count]:
            weights = weights + (gradient / loss_scale,)  # noqa: RUF005 - as above
        factors = ()  # type: Any
        for factor, power in zip(gradients[self.weight_count :], self.powers):
            for _ in range(power):
                factor = factor / loss_scale
            factors = factors + (factor,)  # noqa: RUF005 - as above
        return self.checked_norm(weights, factors), weights, factors

    def checked_norm(self, weights: Any, factors: Any) -> Tensor:
        """The norm of the gradients, or a number that is not finite where a factor is not."""
        norm = self.norm(weights)
        if self.checked:
            total = factors[0].sum()
            for factor in factors[1:]:
                total = total + factor.sum()
            norm = ops.select(ops.isfinite(total), norm, total)
        return norm


class ScaledGradients(Backward):
    """What `Gradients` returns, computed from S times the loss; S is taken out after the exchange.

    Where the device saturates (`watched`) the last of the losses is the flag of `overflow_status`.
    """

    def __init__(
        self,
        forward: Forward,
        weights: Sequence[Parameter],
        probes: Sequence[Parameter],
        uses: Sequence[Parameter],
        exchange: Exchange,
        powers: Sequence[int],
        watched: bool = False,
    ) -> None:
        super().__init__(ScaledForward(forward), weights, probes, uses)
        self.exchange = WatchedExchange(exchange) if watched else exchange
        if watched:
            self.backward = WatchedBackward(self.backward)
        self.unscaled = Unscaled(self.weight_count, powers)

    def construct(self, loss_scale: Tensor, *batch: Tensor) -> Any:
        """Return (losses, norm, gradients, factors, uses), all of them free of S."""
        losses, gradients = self.backward(loss_scale, *batch)
        uses = gradients[self.exchanged :]
        losses, gradients = self.exchange(losses[1:], gradients[: self.exchanged])
        norm, weights, factors = self.unscaled(loss_scale, gradients)
        return losses, norm, weights, factors, uses


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


def scalar(value: float) -> Tensor:
    """A number as a graph takes it."""
    return Tensor(np.float32(value))
