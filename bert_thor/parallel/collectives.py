"""What ranks exchange inside the compiled graphs: sums of gradients and factors in few buckets, and shares of the inversions.

Letters: R ranks, n blocks of edge b.

Every collective works on one flat buffer, because a message has a fixed cost (about 2 ms with MindSpore's CPU collectives) and small
tensors are many: BERT-Large has 300 gradients.
"""

# ruff: noqa: RUF005 - graph mode of MindSpore 2.0 has neither starred tuples nor annotated assignments
from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from bert_thor.compat import has_all_gather
from bert_thor.parallel.buckets import BUCKET_BYTES, buckets
from bert_thor.parallel.world import World
from bert_thor.precision import BYTES


class SumOverRanks(nn.Cell):
    """Σ over ranks of each of a list of float32 tensors of about these `shapes`, times `scale`; one AllReduce per bucket.

    The sums are taken in `precision`, the tensors rounded to it before. The messages are independent of each other and in the order in
    which the backward pass finishes gradients, last tensors first.
    """

    def __init__(self, shapes: Sequence[tuple[int, ...]], scale: float = 1.0, precision: str = "float32") -> None:
        super().__init__(auto_prefix=False)
        self.buckets = buckets([prod(shape) for shape in shapes], BUCKET_BYTES // BYTES[precision])
        self.scale = scale
        self.narrow = precision != "float32"
        self.dtype = getattr(ms, precision)
        self.all_reduce = ops.AllReduce()

    def construct(self, *tensors: Tensor) -> Any:
        """Return a tuple of float32 tensors of the same shapes."""
        results = ()  # type: Any
        for start, end in self.buckets:
            results = self.one_bucket(tensors[start:end]) + results
        return results

    def one_bucket(self, tensors: tuple[Tensor, ...]) -> Any:
        """Sum the tensors of one message."""
        parts = ()  # type: Any
        for tensor in tensors:
            parts = parts + (tensor.reshape(-1),)
        total = self.message(ops.concat(parts))
        if self.scale != 1.0:
            total = total * self.scale
        offset = 0
        results = ()  # type: Any
        for tensor in tensors:
            size = 1
            for length in tensor.shape:
                size = size * length
            results = results + (total[offset : offset + size].reshape(tensor.shape),)
            offset = offset + size
        return results

    def message(self, x: Tensor) -> Tensor:
        """Sum one flat float32 tensor in the precision of the exchange."""
        if self.narrow:
            return self.all_reduce(x.astype(self.dtype)).astype(ms.float32)
        return self.all_reduce(x)


class Exchange(nn.Cell):
    """What the ranks exchange after a backward pass: losses and gradients summed, factors averaged. With one rank it changes nothing.

    Every rank differentiates its share of the global mean loss, so the shares are summed: what would be a division by the number of ranks
    is in them before they are rounded to `precision`, the one in which gradients are summed. A float16 exchange therefore holds sums as
    large as the gradients of one process; it takes gradients that still carry the loss scale. A rank's factor is the mean over its own
    rows, and all have as many rows, so factors are averaged, in float32 like the losses: their squares and inverses would not bear less.
    The wish of any rank to stop travels along, because all must stop after the same step.
    """

    def __init__(
        self,
        world: World,
        weights: Sequence[tuple[int, ...]],
        probes: Sequence[tuple[int, ...]],
        precision: str = "float32",
    ) -> None:
        super().__init__(auto_prefix=False)
        self.active = world.ranks > 1
        self.weight_count = len(weights)
        self.wish = Parameter(np.zeros(1, np.float32), "stop.wish", requires_grad=False)
        self.wishes = Parameter(np.zeros(1, np.float32), "stop.wishes", requires_grad=False)
        self.together = precision == "float32"
        if self.active:
            numbers = [(1,)]  # the losses and the wish travel with the last weights if they may
            self.sum = SumOverRanks([*weights, *numbers] if self.together else weights, precision=precision)
            self.sum_numbers = SumOverRanks(numbers)
        self.ranks = world.ranks
        self.expect(probes)

    def expect(self, probes: Sequence[tuple[int, ...]]) -> None:
        """From the next graph on factors of these shapes are averaged."""
        if self.active:
            self.mean = SumOverRanks(probes, 1.0 / self.ranks)

    def construct(self, losses: tuple[Tensor, ...], gradients: tuple[Tensor, ...]) -> Any:
        """Return (losses, gradients) of the global batch; `gradients` are those of the weights, then those of the probes, if any."""
        if not self.active:
            return losses, gradients
        numbers, results = self.summed(ops.concat((ops.stack(losses), self.wish)), gradients[: self.weight_count])
        count = len(losses)
        ops.assign(self.wishes, numbers[count:])
        if len(gradients) > self.weight_count:
            results = results + self.mean(*gradients[self.weight_count :])
        totals = ()  # type: Any
        for index in range(count):
            totals = totals + (numbers[index],)
        return totals, results

    def summed(self, numbers: Tensor, gradients: tuple[Tensor, ...]) -> Any:
        """Return the sums (numbers, gradients); the numbers in float32."""
        if self.together:
            sums = self.sum(*gradients, numbers)
            return sums[self.weight_count], sums[: self.weight_count]
        return self.sum_numbers(numbers)[0], self.sum(*gradients)

    def request_stop(self) -> None:
        """Ask all ranks to stop after the next step."""
        self.wish.set_data(Tensor(np.ones(1, np.float32)))

    def stop_requested(self) -> bool:
        """Whether a rank had asked before the last step; the same answer on every rank."""
        return bool(self.wishes.asnumpy()[0] > 0)


class Gather(nn.Cell):
    """The tensors [n, ...] of all ranks one after another, [R·n, ...]. Where there is no AllGather they are summed, each in its place."""

    def __init__(self, rank: int, ranks: int) -> None:
        super().__init__(auto_prefix=False)
        self.ranks = ranks
        self.own = Tensor(np.arange(ranks) == rank)
        self.gather = ops.AllGather() if has_all_gather() else None
        self.sum = ops.AllReduce()

    def construct(self, x: Tensor) -> Tensor:
        """Return the same tensor on every rank."""
        if self.gather is not None:
            return self.gather(x)
        shape = (self.ranks,) + x.shape
        own = ops.broadcast_to(self.own.reshape((self.ranks,) + (1,) * x.ndim), shape)
        places = ops.select(own, ops.broadcast_to(x.expand_dims(0), shape), ops.zeros(shape, x.dtype))
        return self.sum(places).reshape((self.ranks * x.shape[0],) + x.shape[1:])


class SharedInverse(nn.Cell):
    """Inverts lists of packed blocks [n, b, b], every rank its share, and gathers the results.

    Blocks of one edge cost the same (b³), so the blocks of all layers with that edge are dealt out in R equal runs: no rank has more than
    one block of an edge above the others. The padding of the last run is inverted as the identity.
    """

    def __init__(self, shapes: Sequence[tuple[int, ...]], rank: int, ranks: int, inverse: Any) -> None:
        super().__init__(auto_prefix=False)
        self.groups = [
            [index for index, shape in enumerate(shapes) if shape[1] == edge] for edge in sorted({s[1] for s in shapes})
        ]
        self.counts = [shape[0] for shape in shapes]
        self.edges = [shape[1] for shape in shapes]
        self.rank, self.ranks = rank, ranks
        self.inverse = inverse
        self.all_gather = Gather(rank, ranks)

    def construct(self, blocks: tuple[Tensor, ...], dampings: tuple[Tensor, ...]) -> Any:
        """Return (inverses, statuses), one of each per list; a status is int32 [n] as `cholesky_inverse` gives it."""
        inverses = ()  # type: Any
        statuses = ()  # type: Any
        for group in self.groups:
            inverse, status = self.one_edge(group, blocks, dampings)
            offset = 0
            for index in group:
                count = self.counts[index]
                inverses = inverses + (inverse[offset : offset + count],)
                statuses = statuses + (status[offset : offset + count],)
                offset = offset + count
        return self.in_order(inverses), self.in_order(statuses)

    def one_edge(self, group: list[int], blocks: tuple[Tensor, ...], dampings: tuple[Tensor, ...]) -> Any:
        """Invert all blocks of one edge."""
        total, edge = sum([self.counts[index] for index in group]), self.edges[group[0]]
        share = -(-total // self.ranks)
        parts = ()  # type: Any
        damping_parts = ()  # type: Any
        for index in group:
            parts, damping_parts = parts + (blocks[index],), damping_parts + (dampings[index],)
        if share * self.ranks > total:
            padding = share * self.ranks - total
            parts = parts + (ops.zeros((padding, edge, edge), ms.float32),)
            damping_parts = damping_parts + (ops.ones((padding,), ms.float32),)
        start = self.rank * share
        inverse, status = self.inverse(
            ops.concat(parts)[start : start + share], ops.concat(damping_parts)[start : start + share]
        )
        return self.all_gather(inverse), self.all_gather(status.astype(ms.float32)).astype(ms.int32)

    def in_order(self, values: tuple[Tensor, ...]) -> Any:
        """Undo the grouping by edge."""
        order = []  # type: Any
        for group in self.groups:
            order = order + group
        results = ()  # type: Any
        for index in range(len(order)):
            results = results + (values[order.index(index)],)
        return results


class GatherNumbers(nn.Cell):
    """The float32 vectors of all ranks, [R, length] on the host: for checks, not for training."""

    def __init__(self, world: World) -> None:
        super().__init__(auto_prefix=False)
        self.ranks = world.ranks
        self.all_gather = Gather(world.rank, world.ranks)

    def construct(self, numbers: Tensor) -> Tensor:
        """Return one row per rank."""
        return self.all_gather(numbers).reshape(self.ranks, -1)

    def gather(self, numbers: np.ndarray) -> np.ndarray:
        """`construct` for NumPy."""
        result: np.ndarray = self(Tensor(numbers.astype(np.float32))).asnumpy()
        return result
