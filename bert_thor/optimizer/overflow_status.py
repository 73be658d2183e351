"""Overflows on a first Ascend 910, which saturates: the device's status register is cleared before what may overflow, and read after it.

Documented: the first Ascend 910 ("Atlas training products") knows the saturation mode only, in which a result that would be infinite is
the largest number of its type and one that would be NaN is 0 (CANN, `aclrtFloatOverflowMode` and `set_device_sat_mode`), so an overflow
does not show in values. It does in a register: a sum of its eight flags above 0 (MindSpore 1.10 and 2.0, `ops.NPUGetFloatStatus`). The
order here is that of `nn.TrainOneStepWithLossScaleCell` in those lines: clear, gradients, sums over ranks, read, with `ops.depend` between.
Unlike it the forward pass is watched too, because float16 activations overflow as well, and what ranks exchange is watched apart.

The flag is a finite number that travels with the losses, so it is averaged over micro-batches and summed over ranks as they are, and all
ranks see the same; an infinity would not be sure to survive a sum on a device that saturates. The host makes the norm infinite.

No host can show which operators set the register (the cube's, the vector unit's, those of a collective), nor that the device clears and
reads it where the graph says; tests show the graph, and with a stand-in for the register what follows from a flag. What depends on weights
alone (their casts to float16) may run before the register is cleared: no loss scale has a part in it.
"""

# ruff: noqa: RUF005 - graph mode of MindSpore 2.0 has no starred tuples
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mindspore import Tensor, nn, ops

from bert_thor.compat import float_status_operators
from bert_thor.parallel.collectives import Exchange


class ClearedStatus(nn.Cell):
    """Clears the register when some tensors are there, and before what uses them from then on."""

    def __init__(self) -> None:
        super().__init__(auto_prefix=False)
        self.allocate, self.clear, _ = float_status_operators()

    def construct(self, *tensors: Tensor) -> Any:
        """Return (status, tensors): a place for the flags, and the same tensors."""
        status = ops.depend(self.allocate(), tensors)
        cleared = self.clear(status)
        results = ()  # type: Any
        for tensor in tensors:
            results = results + (ops.depend(tensor, cleared),)
        return status, results


class OverflowFlag(nn.Cell):
    """Reads the register when the results of what is watched are there."""

    def __init__(self) -> None:
        super().__init__(auto_prefix=False)
        _, _, self.read = float_status_operators()

    def construct(self, status: Tensor, results: Any) -> Tensor:
        """Return a float32 scalar: above 0 where an operator has overflowed since the register was cleared."""
        status = ops.depend(status, results)
        return ops.depend(status, self.read(status)).sum()  # the operator writes to its input


class WatchedBackward(nn.Cell):
    """`backward` (S, batch...) -> (losses, gradients), with the flag as one more loss."""

    def __init__(self, backward: Any) -> None:
        super().__init__(auto_prefix=False)
        self.backward = backward
        self.clear, self.flag = ClearedStatus(), OverflowFlag()

    def construct(self, *inputs: Tensor) -> Any:
        """Return (losses and flag, gradients)."""
        status, inputs = self.clear(*inputs)
        losses, gradients = self.backward(*inputs)
        return losses + (self.flag(status, losses + gradients),), gradients


class WatchedExchange(nn.Cell):
    """`exchange` whose sums over ranks may overflow: each rank adds what it saw of that to the flag, which is the last of the losses."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(auto_prefix=False)
        self.exchange, self.active = exchange, exchange.active
        if self.active:
            self.clear, self.flag, self.sum = ClearedStatus(), OverflowFlag(), exchange.sum_numbers

    def construct(self, losses: tuple[Tensor, ...], gradients: tuple[Tensor, ...]) -> Any:
        """Return what `exchange` does."""
        if not self.active:
            return self.exchange(losses, gradients)
        count = len(losses)
        status, tensors = self.clear(*losses, *gradients)
        losses, gradients = self.exchange(tensors[:count], tensors[count:])
        flag = self.sum(self.flag(status, losses + gradients).reshape(1))[0].reshape(())
        return losses[: count - 1] + (losses[count - 1] + flag,), gradients


def judged(losses: Sequence[Tensor], norm: Tensor) -> tuple[Sequence[Tensor], Tensor]:
    """(losses, norm) without the flag, which is the last of the losses; the norm is infinite where the flag is set."""
    clean = float(losses[-1].asnumpy()) == 0.0
    return losses[:-1], norm if clean else Tensor(np.float32(np.inf))
