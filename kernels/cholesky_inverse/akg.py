"""Damped inverse of positive definite blocks for AKG on Ascend 910, written in its instructions: no polyhedral scheduling.

AKG places the buffers, inserts flags and barriers, and prints CCE. Each core takes every `cores`-th block and sweeps it in UB
(Goodnight 1979), one pivot after the other, in a form that keeps the block symmetric bit for bit. With row = a[k] and d = row[k]:

    u = row / sqrt(d), but u[k] = -1 / sqrt(d);  a[k, :] = a[:, k] = 0;  a -= u u^T

After the last pivot a is -(C + damping I)^-1. Of C only the upper triangle matters: what lies below is overwritten unread.
A pivot that is not positive turns everything after it into NaN; the pivots are an output, and `status` is read off them.

Cost: block^2 vector instructions of one row and block^2 scalar reads. All arithmetic is fp32.
"""

from __future__ import annotations

from typing import Any

from bert_thor.kernels.ascend.sizes import CORES, FP32_LANES, MAX_REPEATS

LANES = 8  # fp32 numbers in 32 bytes
MAX_BLOCK = 128


def cholesky_inverse(c: Any, damping: Any, target: str = "cce") -> list[Any]:
    """[inverse, pivots, schedule, attributes] as AKG's entry for single operators takes them.

    c [n, block, block], damping [n] fp32, n a multiple of 8; inverse as c; pivots [n, block] fp32: status is 0 where all are
    positive and finite, else the number, from 1, of the first that is not.

    Raises:
        ValueError: a block edge that is not a multiple of 8 up to 128, or a number of blocks that is not one of 8.
    """
    from akg import tvm

    blocks, block = int(c.shape[0]), int(c.shape[1])
    if block % LANES or not LANES <= block <= MAX_BLOCK or blocks % LANES or blocks < LANES:
        raise ValueError(
            f"cholesky_inverse: c is [{blocks}, {block}, {block}]; AKG's kernel takes multiples of 8 blocks and edges that are"
            f" multiples of 8 up to {MAX_BLOCK}."
        )
    inverse, pivots = tvm.extern(
        [(blocks, block, block), (blocks, block)],
        [c, damping],
        lambda inputs, outputs: _Program(tvm, blocks, block).build(*inputs, *outputs),
        dtype=["float32", "float32"],
        name="cholesky_inverse",
    )
    return [inverse, pivots, _unscheduled, {"enable_multicore": 0}]


def _unscheduled(_: Any) -> None:
    """That a schedule function is there at all turns the polyhedral scheduler off."""


class _Program:
    """The instructions; `self.a` and the like are buffers in UB."""

    def __init__(self, tvm: Any, blocks: int, block: int) -> None:
        self.tvm, self.blocks, self.block = tvm, blocks, block
        self.ib = tvm.ir_builder.create()

    def build(self, c: Any, damping: Any, inverse: Any, pivots: Any) -> Any:
        cores = min(CORES, self.blocks)
        core = self.tvm.thread_axis("blockIdx.x")
        self.ib.scope_attr(core, "thread_extent", cores)
        self._allocate()
        with self.ib.for_range(0, -(-self.blocks // cores), name="turn") as turn:
            q = turn * cores + core
            with self.ib.if_scope(q < self.blocks):
                self._block(q, c, damping, inverse, pivots)
        return self.ib.get()

    def _allocate(self) -> None:
        sizes = {"a": self.block**2, "u": self.block, "minus_u": self.block, "pivot_row": self.block}
        sizes.update(dict.fromkeys(("ones", "d", "root", "scale", "dampings"), FP32_LANES))
        self.values, self.buffers = {}, {}
        for name, size in sizes.items():
            value = self.ib.allocate("float32", (size,), name=name, scope="local.UB")
            self.values[name] = value
            self.buffers[name] = self.tvm.decl_buffer(
                (size,), "float32", name=name, data=value._buffer_var, scope="local.UB"
            )

    # Instructions -----------------------------------------------------------------------------------------------------

    def _at(self, name: str, mode: str, offset: Any = 0) -> Any:
        return self.buffers[name].access_ptr(mode, offset=offset)

    def _emit(self, instruction: str, *operands: Any) -> None:
        self.ib.emit(self.tvm.call_extern("float32", instruction, *operands))

    def _mask(self, lanes: int) -> None:
        """`lanes` as bits: which of 64 take part from here on."""
        const = self.tvm.const
        self.ib.emit(self.tvm.call_extern("int32", "set_vector_mask", const(0, "uint64"), const(lanes, "uint64")))

    def _row_parts(self) -> list[tuple[int, int, int]]:
        """(first number, repeats, mask) of the instructions that cover a row."""
        whole, rest = divmod(self.block, FP32_LANES)
        parts = [(0, whole, (1 << FP32_LANES) - 1)] if whole else []
        return parts + ([(whole * FP32_LANES, 1, (1 << rest) - 1)] if rest else [])

    def _move(self, instruction: str, target: Any, source: Any, numbers: int) -> None:
        self._emit(instruction, target, source, 0, 1, numbers // LANES, 0, 0)

    # The sweep --------------------------------------------------------------------------------------------------------

    def _block(self, q: Any, c: Any, damping: Any, inverse: Any, pivots: Any) -> None:
        block, square = self.block, self.block**2
        self._move("copy_gm_to_ubuf", self._at("a", "w"), c.access_ptr("r", offset=q * square), square)
        nearby = damping.access_ptr("r", offset=q // LANES * LANES)
        self._move("copy_gm_to_ubuf", self._at("dampings", "w"), nearby, LANES)
        self._add_damping(self.values["dampings"][q % LANES])
        self._mask((1 << FP32_LANES) - 1)
        self._emit("vector_dup", self._at("ones", "w"), self.tvm.const(1.0, "float32"), 1, 1, 1, 8, 8)
        with self.ib.for_range(0, block // LANES, name="group") as group:
            for lane in range(LANES):
                self._pivot(group, lane)
        self._negate(square)
        self._move("copy_ubuf_to_gm", inverse.access_ptr("w", offset=q * square), self._at("a", "r"), square)
        self._move("copy_ubuf_to_gm", pivots.access_ptr("w", offset=q * block), self._at("pivot_row", "r"), block)

    def _add_damping(self, value: Any) -> None:
        """a[k, k] += value: the numbers of one lane are 8 rows and 8 columns apart."""
        step = self.block + 1
        for lane in range(LANES):
            self._mask(1 << lane)
            where = [self._at("a", mode, lane * self.block) for mode in ("w", "r")]
            self._emit("vadds", *where, value, self.block // LANES, 1, 1, step, step)

    def _pivot(self, group: Any, lane: int) -> None:
        """One pivot, k = 8 group + lane."""
        block, beside = self.block, group * LANES
        row = (beside + lane) * block
        self._mask(1 << lane)
        self._emit("vadds", self._at("pivot_row", "w", beside), self._at("a", "r", row + beside), 0.0, 1, 1, 1, 8, 8)
        self._mask((1 << FP32_LANES) - 1)
        self._emit("vector_dup", self._at("d", "w"), self.values["a"][row + beside + lane], 1, 1, 1, 8, 8)
        self._emit("vsqrt", self._at("root", "w"), self._at("d", "r"), 1, 1, 1, 8, 8)
        self._emit(
            "vdiv", *(self._at(n, m) for n, m in (("scale", "w"), ("ones", "r"), ("root", "r"))), 1, *[1] * 3, *[8] * 3
        )
        for first, repeats, mask in self._row_parts():
            self._mask(mask)
            operands = self._at("u", "w", first), self._at("a", "r", row + first), self._at("scale", "r")
            self._emit("vmul", *operands, repeats, 1, 1, 1, 8, 8, 0)
        self._mask(1 << lane)
        self._emit("vmuls", self._at("u", "w", beside), self._at("scale", "r"), -1.0, 1, 1, 1, 8, 8)
        self._emit("vector_dup", self._at("a", "w", beside), 0.0, block, 1, 1, block // LANES, 8)
        self._subtract_square(row)

    def _subtract_square(self, row: Any) -> None:
        """a[k] = 0; a -= u u^T."""
        block = self.block
        for first, repeats, mask in self._row_parts():
            self._mask(mask)
            self._emit("vector_dup", self._at("a", "w", row + first), 0.0, repeats, 1, 1, 8, 8)
            self._emit("vmuls", self._at("minus_u", "w", first), self._at("u", "r", first), -1.0, repeats, 1, 1, 8, 8)
        for first, repeats, mask in self._row_parts():
            self._mask(mask)
            with self.ib.for_range(0, block, name="i") as i:
                operands = self._at("a", "w", i * block + first), self._at("u", "r", first)
                self._emit("vaxpy", *operands, self.values["minus_u"][i], repeats, 1, 1, 8, 8)

    def _negate(self, numbers: int) -> None:
        self._mask((1 << FP32_LANES) - 1)
        for first in range(0, numbers // FP32_LANES, MAX_REPEATS):
            repeats = min(MAX_REPEATS, numbers // FP32_LANES - first)
            where = [self._at("a", mode, first * FP32_LANES) for mode in ("w", "r")]
            self._emit("vmuls", *where, -1.0, repeats, 1, 1, 8, 8)
