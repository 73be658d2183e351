"""A step in several micro-batches: gradients and factors are added up in float32, then exchanged, and used as those of one batch.

With n micro-batches of equal size the loss of the step is the mean of theirs, so each gives the gradient of loss/n. A factor is a mean over
rows, so the step's is the mean of the n: with d the output gradients of loss/n, G = mean dᵀd is that of the whole batch, and so is A with
rows weighed by ‖d‖².

The buffers exist only where there is more than one micro-batch: a float32 number per weight and per element of the factors. The sums
become the step's gradients in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Union

import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from bert_thor.errors import ConfigError
from bert_thor.optimizer.overflow_status import WatchedBackward, WatchedExchange
from bert_thor.optimizer.step import Backward, Forward, ScaledForward, Unscaled, Update, scalar
from bert_thor.parallel.collectives import Exchange


class AddGradients(Backward):
    """Adds the gradients of one micro-batch, and its factors, to the buffers; `total` is what makes the step's of the sums.

    Where the device saturates (`watched`) the last of the losses is the flag of `overflow_status`.
    """

    def __init__(
        self,
        forward: Forward,
        weights: Sequence[Parameter],
        probes: Sequence[Parameter],
        uses: Sequence[Parameter],
        total: Total,
        watched: bool = False,
    ) -> None:
        super().__init__(ScaledForward(forward), weights, probes, uses)
        if watched:
            self.backward = WatchedBackward(self.backward)
        self.buffers = total.buffers
        self.__dict__["total"] = total  # not a part of this graph

    def construct(self, loss_scale: Tensor, *batch: Tensor) -> Any:
        """Return (losses, uses); `loss_scale` is what the loss is multiplied by, S/n."""
        losses, gradients = self.backward(loss_scale, *batch)
        for index in range(self.exchanged):
            ops.assign_add(self.buffers[index], gradients[index])
        return losses[1:], gradients[self.exchanged :]


class Clear(nn.Cell):
    """Sets buffers to 0, whatever an overflow has left in them."""

    def __init__(self, buffers: Sequence[Parameter]) -> None:
        super().__init__(auto_prefix=False)
        self.buffers = ParameterTuple(buffers)

    def construct(self) -> bool:
        """Change the buffers; returns True."""
        for buffer in self.buffers:
            ops.assign(buffer, ops.zeros_like(buffer))
        return True


class Total(nn.Cell):
    """Makes the gradients and factors of the step of the sums in the buffers, in place."""

    def __init__(
        self, buffers: Sequence[Parameter], parts: int, exchange: Union[Exchange, WatchedExchange], unscaled: Unscaled
    ) -> None:
        super().__init__(auto_prefix=False)
        self.buffers = ParameterTuple(buffers)
        self.exchange, self.unscaled = exchange, unscaled
        self.parts, self.weight_count = float(parts), unscaled.weight_count
        self.__dict__["clear"] = Clear(buffers)  # not a part of this graph

    def construct(self, loss_scale: Tensor, *losses: Tensor) -> Any:
        """Return (losses, norm); `losses` are the means over the micro-batches, `loss_scale` is S."""
        sums = ()  # type: Any
        for index in range(len(self.buffers)):
            value = self.buffers[index] if index < self.weight_count else self.buffers[index] / self.parts
            sums = sums + (value,)  # noqa: RUF005 - graph mode of MindSpore 2.0 has no starred tuples
        losses, sums = self.exchange(losses, sums)
        norm, weights, factors = self.unscaled(loss_scale, sums)
        for index in range(self.weight_count):
            ops.assign(self.buffers[index], weights[index])
        for index in range(len(factors)):
            ops.assign(self.buffers[self.weight_count + index], factors[index])
        return losses, norm


class UpdateFromBuffers(nn.Cell):
    """An update by the gradients that lie in the buffers."""

    def __init__(self, update: Update, buffers: Sequence[Parameter]) -> None:
        super().__init__(auto_prefix=False)
        self.update, self.buffers = update, ParameterTuple(buffers)

    def construct(self, *numbers: Tensor) -> Tensor:
        """Return what `update` does."""
        return self.update(*numbers, *self.buffers)


class Accumulation:
    """The buffers of a step in `parts` micro-batches; `checked` as in `Unscaled`, `watched` as in `AddGradients`."""

    def __init__(self, parts: int, exchange: Exchange, checked: bool, watched: bool = False) -> None:
        self.parts, self.checked, self.watched = parts, checked, watched
        self.exchange = WatchedExchange(exchange) if watched else exchange
        self._buffers: dict[tuple[str, tuple[int, ...]], Parameter] = {}

    def graph(
        self,
        forward: Forward,
        weights: Sequence[Parameter],
        probes: Sequence[Parameter],
        uses: Sequence[Parameter],
        powers: Sequence[int],
    ) -> AddGradients:
        """What computes a micro-batch; `powers` as in `Unscaled`."""
        buffers = [self._buffer(parameter) for parameter in (*weights, *probes)]
        total = Total(buffers, self.parts, self.exchange, Unscaled(len(weights), powers, self.checked))
        return AddGradients(forward, weights, probes, uses, total, self.watched)

    def update(self, update: Update, weights: Sequence[Parameter]) -> UpdateFromBuffers:
        """`update` by what `run` returns as gradients."""
        return UpdateFromBuffers(update, [self._buffer(parameter) for parameter in weights])

    def _buffer(self, parameter: Parameter) -> Parameter:
        """The same for all graphs."""
        key = parameter.name, tuple(parameter.shape)
        if key not in self._buffers:
            zeros = np.zeros(parameter.shape, np.float32)
            self._buffers[key] = Parameter(zeros, f"accumulated.{parameter.name}", requires_grad=False)
        return self._buffers[key]

    def run(self, graph: AddGradients, batch: Sequence[Tensor], scale: float) -> Any:
        """(losses, norm, gradients, factors, uses) of the whole batch, S being `scale`; gradients and factors are the buffers."""
        total = graph.total
        total.clear()
        found = [graph(scalar(scale / self.parts), *part) for part in self.cut(batch)]
        means = np.mean([[float(loss.asnumpy()) for loss in losses] for losses, _ in found], axis=0)
        losses, norm = total(scalar(scale), *(scalar(mean) for mean in means))
        weights, factors = graph.buffers[: graph.weight_count], graph.buffers[graph.weight_count :]
        return losses, norm, weights, factors, found[-1][1]

    def cut(self, columns: Sequence[Tensor]) -> list[list[Tensor]]:
        """The micro-batches: the i-th part of each column, cut along its first axis."""
        for column in columns:
            if column.ndim == 0 or column.shape[0] % self.parts:
                raise ConfigError(
                    f"a column of shape {tuple(column.shape)} cannot be cut into accumulate={self.parts} equal parts along its first axis: "
                    "give a batch whose size is a multiple of accumulate"
                )
        pieces = (np.split(column.asnumpy(), self.parts) for column in columns)
        return [[Tensor(piece) for piece in part] for part in zip(*pieces)]
