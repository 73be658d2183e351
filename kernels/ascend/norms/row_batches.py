"""What the TIK kernels over rows share: batches of rows per core, loaded one ahead, and sums along the rows.

Loads go one batch ahead by hand, into two sets of buffers: in a loop with thread_num=2 the next load would wait in the
scalar unit until the vector queue, 32 instructions deep, has room for the last instruction of this batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Callable

from bert_thor.kernels.ascend.norms.tiling import GROUP, SLOTS, Tiling
from bert_thor.kernels.ascend.sizes import BLOCK_BYTES, FP32_LANES, ITEM_BYTES, REPEAT_BYTES
from bert_thor.kernels.ascend.tik_support import fill, repeats, tik_module

PITCH = 2 * FP32_LANES  # fp32 numbers from row to row of a sum: every row of it lies in the same half of the banks


@dataclass(frozen=True)
class Batch:
    """A batch of a core: its number, a Python integer or a scalar of the kernel, and the set of buffers that it uses."""

    number: Any
    which: int


def take_turns(*streams: Iterator[None]) -> None:
    """Emit independent chains of instructions in turn, so that each runs while the others wait for a result."""
    waiting = list(streams)
    while waiting:
        waiting = [stream for stream in waiting if next(stream, waiting) is not waiting]


class RowBatches:
    """A kernel whose cores walk over batches of `tiling.batch` rows of `features` items of type `dtype`.

    A kernel is a subclass that sets `inputs` and `outputs`, tensors in global memory, and defines `core_program`.
    """

    inputs: list[Any]
    outputs: list[Any]

    def __init__(self, tiling: Tiling, dtype: str) -> None:
        self.tik = tik_module()
        self.t = self.tik.Tik()
        self.tiling = tiling
        self.dtype = dtype
        self.lanes = REPEAT_BYTES // ITEM_BYTES[dtype]
        self.per_block = BLOCK_BYTES // ITEM_BYTES[dtype]
        self.row_blocks = tiling.features // self.per_block

    # Tensors ----------------------------------------------------------------------------------------------------------

    def global_tensor(self, name: str, shape: Sequence[int], dtype: str, is_atomic_add: bool = False) -> Any:
        """A tensor in global memory."""
        scope = self.tik.scope_gm
        return self.t.Tensor(dtype, tuple(shape), name=name, scope=scope, is_atomic_add=is_atomic_add)

    def local_tensor(self, name: str, shape: Sequence[int], dtype: str) -> Any:
        """A tensor in UB."""
        return self.t.Tensor(dtype, tuple(shape), name=name, scope=self.tik.scope_ubuf)

    def rows_tensor(self, name: str, dtype: str) -> Any:
        """A batch of rows in UB."""
        return self.local_tensor(name, (self.tiling.batch, self.tiling.features), dtype)

    def rows_aside(self, name: str, dtype: str) -> Any:
        """A batch of rows 256 bytes off the others, so that an instruction may read both without meeting in a bank."""
        items = self.tiling.batch * self.tiling.features
        return self.local_tensor(name, (items + 2 * self.lanes,), dtype)[self.lanes]

    def parameter(self, source: Any, name: str) -> Any:
        """A vector of `features` fp32 numbers in the rows' type, aside as above."""
        t, features = self.t, self.tiling.features
        blocks = -(-features // 8)
        local = self.local_tensor(f"local_{name}", (features + 2 * self.lanes,), self.dtype)[self.lanes]
        if self.dtype == "float32":
            t.data_move(local, source, 0, 1, blocks, 0, 0)
            return local
        with t.new_stmt_scope():
            wide = self.local_tensor(f"wide_{name}", (features,), "float32")
            t.data_move(wide, source, 0, 1, blocks, 0, 0)
            for first, count in self.columns(FP32_LANES):
                t.vconv(count, "none", local[first], wide[first], 1, 1, 1, 4, 8)
        return local

    def row_values(self, name: str, dtype: str = "float32") -> Any:
        """One number per row of the batch, in whole blocks of either type."""
        return self.local_tensor(name, (-(-self.tiling.batch // 16) * 16,), dtype)

    # The walk ---------------------------------------------------------------------------------------------------------

    def walk(self, load: Callable[..., None], compute: Callable[..., None], sets: int) -> None:
        """This core's batches, each loaded while the one before is computed.

        Emits `load(set, start, rows)` and `compute(set, start, rows, load_next)`, `set` being 0 or, with two sets of
        buffers, 0 and 1 in turn; `compute` calls `load_next` as soon as the set that comes next may be overwritten.
        """
        batches = self._count_batches()
        self._at(0, load, 0)
        with self.t.for_range(0, (batches + sets - 1) // sets) as turn:
            for which in range(sets):
                batch = turn * sets + which
                load_next = partial(self._at, batch + 1, load, (which + 1) % sets)
                self._at(batch, compute, which, load_next)

    def walk_in_slots(self, load: Callable[..., None], prepare: Callable[..., None], slot: Callable[..., None]) -> None:
        """This core's batches in a pipeline of two stages: the cube works on one while the vector unit works on another.

        Emits `slot(begin, finish, look_ahead)`, which begins one batch and finishes the one before, either None at the
        ends. `look_ahead` emits `prepare(set, start, rows)` for the next batch and `load(set, start, rows)` for the one
        after it, over the set of `begin`. Sets are 0 and 1 in turn.
        """
        t, batches = self.t, self._count_batches()

        def run(batch: Batch, before: Batch | None) -> None:
            def look_ahead() -> None:
                self._at(batch.number + 1, prepare, 1 - batch.which)
                self._at(batch.number + 2, load, batch.which)

            slot(batch, before, look_ahead)

        self._at(0, load, 0)
        self._at(0, prepare, 0)
        self._at(1, load, 1)
        run(Batch(0, 0), None)
        with t.for_range(0, (batches + 1) // 2) as turn:
            for which in (1, 0):
                number = 2 * turn + 2 - which
                with t.if_scope(number < batches):
                    run(Batch(number, which), Batch(number - 1, 1 - which))
                with t.elif_scope(number == batches):
                    slot(None, Batch(number - 1, 1 - which), None)

    def _count_batches(self) -> Any:
        """This core's rows begin and end, and in how many batches."""
        t, tiling = self.t, self.tiling
        self._begin, self._end = t.Scalar("int64", "begin"), t.Scalar("int64", "end")
        self._begin.set_as(self._core * tiling.groups // tiling.cores * GROUP)
        t.scalar_min(self._end, (self._core + 1) * tiling.groups // tiling.cores * GROUP, tiling.rows)
        self._batches = t.Scalar("int64", "batches", (self._end - self._begin + tiling.batch - 1) // tiling.batch)
        return self._batches

    def _at(self, batch: Any, run: Callable[..., None], which: int, *arguments: Any) -> None:
        """`run(which, start, rows, *arguments)` if there is such a batch."""
        with self.t.if_scope(batch < self._batches):
            run(which, *self.extent(batch), *arguments)

    def extent(self, batch: Any) -> tuple[Any, Any]:
        """First row and number of rows of a batch."""
        t, tiling = self.t, self.tiling
        start, rows = t.Scalar("int64", "start", self._begin + batch * tiling.batch), t.Scalar("int64", "rows")
        t.scalar_min(rows, self._end - start, tiling.batch)
        return start, rows

    def build(self, kernel_name: str) -> None:
        """Emit the kernel: `core_program` on every core."""
        with self.t.for_range(0, self.tiling.cores, block_num=self.tiling.cores) as core:
            self._core = core
            self.core_program()
        self.t.BuildCCE(kernel_name=kernel_name, inputs=self.inputs, outputs=self.outputs)

    def core_program(self) -> None:
        """What each core does."""
        raise NotImplementedError

    def load_rows(self, local: Any, source: Any, start: Any, rows: Any) -> None:
        """Rows of a [rows, features] tensor into UB; the rest of a short batch is zeros."""
        with self.t.if_scope(rows < self.tiling.batch):
            fill(self.t, local, 0.0, self.tiling.batch * self.tiling.features)
        self.t.data_move(local, source[start * self.tiling.features], 0, 1, rows * self.row_blocks, 0, 0)

    def store_rows(self, target: Any, local: Any, start: Any, rows: Any) -> None:
        """The first `rows` rows of a batch to global memory."""
        self.t.data_move(target[start * self.tiling.features], local, 0, 1, rows * self.row_blocks, 0, 0)

    def load_row_values(self, local: Any, source: Any, start: Any, rows: Any) -> None:
        """One fp32 per row; ones for the rows that a short batch lacks, also where the last block read past the end."""
        t = self.t
        with t.if_scope(rows < self.tiling.batch):
            fill(t, local, 1.0)
        blocks = (rows + GROUP - 1) // GROUP
        t.data_move(local, source[start], 0, 1, blocks, 0, 0)
        with t.for_range(rows, blocks * GROUP) as missing:
            local[missing].set_as(1.0)

    def store_row_values(self, target: Any, local: Any, start: Any, rows: Any) -> None:
        """One fp32 per row to global memory; a last block of 8 ends in the padding of the tensor."""
        self.t.data_move(target[start], local, 0, 1, (rows + GROUP - 1) // GROUP, 0, 0)

    # Arithmetic -------------------------------------------------------------------------------------------------------

    def columns(self, lanes: int) -> Iterator[tuple[int, int]]:
        """(first column, number) of the groups of columns that one repeat takes."""
        for first in range(0, self.tiling.features, lanes):
            yield first, min(lanes, self.tiling.features - first)

    def elementwise(self, instruction: Any, target: Any, *sources: Any, value: float | None = None) -> None:
        """target = instruction(*sources[, value]) over whole batches; types may differ."""
        tensors = (target, *sources)
        lanes = REPEAT_BYTES // max(ITEM_BYTES[x.dtype] for x in tensors)
        strides = [lanes * ITEM_BYTES[x.dtype] // BLOCK_BYTES for x in tensors]
        scalar = [] if value is None else [value]
        ones = [1] * len(tensors)
        whole, rest = divmod(self.tiling.batch * self.tiling.features, lanes)
        for first, number in repeats(whole):
            instruction(lanes, *[x[first * lanes] for x in tensors], *scalar, number, *ones, *strides)
        if rest:
            instruction(rest, *[x[whole * lanes] for x in tensors], *scalar, 1, *ones, *strides)

    def per_row(self, instruction: Any, target: Any, source: Any, scalars: Any) -> None:
        """target[r] = instruction(source[r], scalars[r]), `scalars` being a UB tensor with one number per row.

        Never in place: an instruction that reads what the one before it wrote waits for the vector pipe to drain.
        """
        t, features, lanes = self.t, self.tiling.features, REPEAT_BYTES // ITEM_BYTES[source.dtype]
        scalar = t.Scalar(source.dtype, "scalar")
        whole, rest = divmod(features, lanes)
        for row in range(self.tiling.batch):
            scalar.set_as(scalars[row])
            start = row * features
            if whole:
                instruction(lanes, target[start], source[start], scalar, whole, 1, 1, 8, 8)
            if rest:
                tail = start + whole * lanes
                instruction(rest, target[tail], source[tail], scalar, 1, 1, 1, 8, 8)

    def per_column(self, instruction: Any, target: Any, source: Any, vector: Any) -> None:
        """target[:, j] = instruction(source[:, j], vector[j]), all of one type; not in place, as above."""
        item = ITEM_BYTES[source.dtype]
        step = self.tiling.features * item // BLOCK_BYTES
        for first, count in self.columns(REPEAT_BYTES // item):
            operands = (target[first], source[first], vector[first])
            instruction(count, *operands, self.tiling.batch, 1, 1, 1, step, step, 0)

    def sum_slots(self, name: str) -> list[Any]:
        """The partial sums of `add_to_slots`."""
        return [self.local_tensor(f"{name}_{i}", (self.tiling.batch, PITCH), "float32") for i in range(SLOTS)]

    def slot(self, slots: list[Any], group: int, other: bool = False) -> Any:
        """The slot of a group of columns, or the half beside it: two halves of 256 bytes never meet in a bank."""
        upper = (group % SLOTS < SLOTS // 2) != other
        return slots[group % SLOTS][FP32_LANES if upper else 0]

    def add_to_slots(self, slots: list[Any], group: int, count: int, source: Any, stride: int) -> None:
        """Add one group of columns of fp32 to its slot; the first SLOTS groups begin the sums."""
        t, batch = self.t, self.tiling.batch
        slot, pitch = self.slot(slots, group), PITCH // 8
        if group < SLOTS:
            t.vadds(count, slot, source, 0.0, batch, 1, 1, pitch, stride)
        else:
            t.vadd(count, slot, slot, source, batch, 1, 1, 1, pitch, pitch, stride)

    def reduce_slots(self, slots: Sequence[list[Any]], sums: Sequence[Any]) -> None:
        """sums[i][r] = everything in row r of slots[i]; the instructions of all i in turn, against latency."""
        t, batch, pitch = self.t, self.tiling.batch, PITCH // 8
        widths = [count for _, count in self.columns(FP32_LANES)][:SLOTS]
        for into, other in ((0, 2), (1, 3), (0, 1)):
            for parts in slots:
                if other < len(widths):
                    target, source = self.slot(parts, into), self.slot(parts, other)
                    t.vadd(widths[other], target, target, source, batch, 1, 1, 1, pitch, pitch, pitch)
        for parts, total in zip(slots, sums):
            t.vcadd(widths[0], total, self.slot(parts, 0), batch, 1, 1, pitch)

    def column_sums(self, name: str, swapped: bool) -> list[Any]:
        """Zeros for `add_down`, a tensor for each group of 64 columns, so that no group waits for another.

        `swapped` exchanges neighbours in memory: a sum then lies in the banks that its columns, 256 bytes each, do not use.
        """
        groups = list(enumerate(self.columns(FP32_LANES)))
        order = sorted(groups, key=lambda group: group[0] ^ 1) if swapped else groups
        sums = {k: self.local_tensor(f"{name}_{k}", (count,), "float32") for k, (_, count) in order}
        for tensor in sums.values():
            fill(self.t, tensor, 0.0)
        return [sums[k] for k, _ in groups]

    def add_down(self, sums: list[Any], local: Any) -> None:
        """Add the rows of fp32 `local` to the sums of its columns."""
        step = self.tiling.features // GROUP
        for total, (first, count) in zip(sums, self.columns(FP32_LANES)):
            self.t.vadd(count, total, local[first], total, self.tiling.batch, 1, 1, 1, 0, step, 0)

    def sum_rows(self, slots: list[Any], local: Any, sums: Any) -> None:
        """sums[r] = sum of row r of `local`."""
        self.sum_rows_together([slots], [local], [sums])

    def sum_rows_together(self, slots: Sequence[list[Any]], locals_: Sequence[Any], sums: Sequence[Any]) -> None:
        """`sum_rows` of several tensors, their instructions in turn: each hides the latency of the others."""
        for group, (first, count) in enumerate(self.columns(FP32_LANES)):
            for parts, local in zip(slots, locals_):
                stride = self.tiling.features // 8
                self.add_to_slots(parts, group, count, local[first], stride)
        self.reduce_slots(slots, sums)


def two_sources(instruction: Any, *arguments: Any) -> None:
    """An instruction with two sources, for `RowBatches.elementwise`."""
    instruction(*arguments, 0)
