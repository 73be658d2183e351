"""Whether all ranks have the same weights: they compute the same numbers, so a difference is a fault."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from mindspore import Parameter

from bert_thor.errors import TrainingError
from bert_thor.parallel.collectives import GatherNumbers
from bert_thor.parallel.world import World


def checksum(parameters: Sequence[Parameter]) -> int:
    """CRC-32 over the bytes of all parameters in their order."""
    value = 0
    for parameter in parameters:
        value = zlib.crc32(np.ascontiguousarray(parameter.asnumpy()).data, value)
    return value


class Agreement:
    """Compares the parameters of all ranks; also a barrier."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.numbers = GatherNumbers(world) if world.ranks > 1 else None

    def wait(self) -> None:
        """Return when all ranks have come here."""
        if self.numbers is not None:
            self.numbers.gather(np.zeros(2))

    def told_by_first(self, answer: bool) -> bool:
        """The answer of rank 0, on every rank."""
        if self.numbers is None:
            return answer
        return bool(self.numbers.gather(np.array([answer, False]))[0, 0])

    def check(self, parameters: Sequence[Parameter], step: int) -> None:
        """Raise `TrainingError` on every rank, naming those that differ from rank 0, unless all have the same bits."""
        if self.numbers is None:
            return
        value = checksum(parameters)
        halves = self.numbers.gather(np.array([value >> 16, value & 0xFFFF]))  # exact in float32
        different = [str(rank) for rank in range(self.world.ranks) if (halves[rank] != halves[0]).any()]
        if different:
            raise TrainingError(
                f"after step {step} the weights of rank {', '.join(different)} differ from those of rank 0: look for a faulty device "
                "or unequal installations, and continue with --resume from the last checkpoint"
            )
