"""Fisher covariance for Ascend 910 in TIK: x^T x / N, the diagonal blocks only, on the cube with fp32 accumulation.

x is fp16, [N, d] in ND or its FRACTAL_NZ; the result is fp32 [ceil(d / block), block, block]. Per chunk of rows:

    ND          global memory -> UB (whole rows of the block) -> L1 in 16-column stripes
    FRACTAL_NZ  global memory -> L1
    then        L1 -> L0A (transposed) and L1 -> L0B; L0C += chunk^T chunk

Both operands of the cube come from one copy in L1, so x is read once. The whole block is computed, not one half: up to
block = 256 the cube needs block / 256 of the time that reading x takes, and the mirrored half would cost the vector unit
a transpose that fp32 does not have. Entry (i, j) and (j, i) sum the same products in the same order: the result is symmetric.

Numbers: products of fp16 are exact in fp32, sums are fp32: |error| <= N 2^-24 sum |x_i x_j| / N. When a block is shared
among cores their shares are added atomically, in any order: the last bit may differ from run to run.
"""

from __future__ import annotations

from math import prod
from typing import Any

from bert_thor.kernels.ascend import tik_support
from bert_thor.kernels.ascend.registration import register
from bert_thor.kernels.ascend.sizes import FRACTAL, FRACTAL_ITEMS
from bert_thor.kernels.fisher_covariance.tiling import Tiling, tile


@register(
    "FisherCovariance",
    {"block": "int"},
    [["F16_Default", "F32_Default"], ["F16_FracNZ", "F32_Default"]],
    ["x"],
    ["packed"],
)
def fisher_covariance(
    x: dict[str, Any], packed: dict[str, Any], block: int, kernel_name: str = "fisher_covariance"
) -> None:
    """Build the kernel. `x` and `packed` are TBE descriptions; FRACTAL_NZ needs `ori_shape`, and zeros in its padding."""
    fractal = x.get("format") == "FRACTAL_NZ"
    shape = x["ori_shape"] if fractal else x["shape"]
    if x["dtype"] != "float16":
        raise ValueError(f"fisher_covariance: x is {x['dtype']}; the cube of Ascend 910 takes float16.")
    _Kernel(tile(prod(shape[:-1]), shape[-1], block, tik_support.core_count()), fractal).build(kernel_name)


class _Kernel:
    """The program; its methods emit its parts."""

    def __init__(self, tiling: Tiling, fractal: bool) -> None:
        self.tik = tik_support.tik_module()
        self.t = self.tik.Tik()
        self.tiling = tiling
        self.load = self._load_fractal if fractal else self._load_rows
        fractals = (-(-tiling.features // FRACTAL), -(-tiling.rows // FRACTAL), FRACTAL, FRACTAL)
        shape = fractals if fractal else (tiling.rows, tiling.features)
        self.x = self.t.Tensor("float16", shape, name="x", scope=self.tik.scope_gm)
        self.packed = self.t.Tensor(
            "float32",
            (tiling.blocks, tiling.block, tiling.block),
            name="packed",
            scope=self.tik.scope_gm,
            is_atomic_add=not tiling.exclusive,
        )

    def build(self, kernel_name: str) -> None:
        t, tiling = self.t, self.tiling
        with t.for_range(0, tiling.cores, block_num=tiling.cores) as core:
            begin = t.Scalar("int64", "begin", core * tiling.total // tiling.cores)
            end = t.Scalar("int64", "end", (core + 1) * tiling.total // tiling.cores)
            with t.for_range(begin // tiling.chunks, (end - 1) // tiling.chunks + 1) as q:
                self._block(q, begin, end)
        t.BuildCCE(kernel_name=kernel_name, inputs=[self.x], outputs=[self.packed])

    def _block(self, q: Any, begin: Any, end: Any) -> None:
        """This core's share of block q."""
        t, tiling = self.t, self.tiling
        first, last = t.Scalar("int64", "first"), t.Scalar("int64", "last")
        t.scalar_max(first, begin - q * tiling.chunks, 0)
        t.scalar_min(last, end - q * tiling.chunks, tiling.chunks)
        total = t.Tensor("float32", (tiling.block, tiling.block), name="total", scope=self.tik.scope_cc)
        with t.for_range(first, last, thread_num=2) as chunk:
            stripes = t.Tensor("float16", (tiling.block, tiling.chunk_rows), name="stripes", scope=self.tik.scope_cbuf)
            self.load(stripes, q, chunk)
            self._accumulate(total, stripes, chunk == first)
        self._store(q, total)

    # From global memory to stripes of 16 columns in L1 ----------------------------------------------------------------

    def _load_rows(self, stripes: Any, q: Any, chunk: Any) -> None:
        t, tiling = self.t, self.tiling
        rows = t.Tensor("float16", (tiling.chunk_rows, tiling.block), name="rows", scope=self.tik.scope_ubuf)
        self._for_each_case(q, chunk, lambda count, width: self._read_rows(rows, q, chunk, count, width))
        for stripe in range(tiling.block // FRACTAL):
            target = stripes[stripe * tiling.chunk_rows * FRACTAL]
            t.data_move(target, rows[stripe * FRACTAL], 0, tiling.chunk_rows, 1, tiling.block // FRACTAL - 1, 0)

    def _for_each_case(self, q: Any, chunk: Any, read: Any) -> None:
        """`read(rows, columns)` for inner chunks, and for those at the right and lower edge where these are short."""
        t, tiling = self.t, self.tiling

        def by_rows(width: int) -> None:
            if not tiling.tail_rows:
                read(tiling.chunk_rows, width)
                return
            with t.if_scope(chunk < tiling.chunks - 1):
                read(tiling.chunk_rows, width)
            with t.else_scope():
                read(tiling.tail_rows, width)

        if not tiling.tail_features:
            by_rows(tiling.block)
            return
        with t.if_scope(q < tiling.blocks - 1):
            by_rows(tiling.block)
        with t.else_scope():
            by_rows(tiling.tail_features)

    def _read_rows(self, rows: Any, q: Any, chunk: Any, count: int, width: int) -> None:
        """Rows of the block into UB, zeros where x has none."""
        t, tiling = self.t, self.tiling
        if (count, width) != (tiling.chunk_rows, tiling.block):
            tik_support.fill(t, rows, 0.0)
        start = chunk * tiling.chunk_rows * tiling.features + q * tiling.block
        if not tiling.ragged:
            gaps = ((tiling.features - width) // FRACTAL, (tiling.block - width) // FRACTAL)
            t.data_move(rows, self.x[start], 0, count, width // FRACTAL, *gaps)
            return
        last_of_x = count == (tiling.tail_rows or tiling.chunk_rows) and width % FRACTAL != 0
        with t.for_range(0, count - last_of_x) as row:
            source = self.x[start + row * tiling.features]
            t.data_move(rows[row * tiling.block], source, 0, 1, -(-width // FRACTAL), 0, 0)
        if last_of_x:
            self._read_last_row(rows[(count - 1) * tiling.block], start + (count - 1) * tiling.features, width)
        if width % FRACTAL:
            self._clear_beyond(rows, count, width)

    def _read_last_row(self, row: Any, start: Any, width: int) -> None:
        """A row whose last 32-byte block may reach past the end of x: its last 16 numbers are read apart and picked singly."""
        t = self.t
        whole, rest = width // FRACTAL * FRACTAL, width % FRACTAL
        if whole:
            t.data_move(row, self.x[start], 0, 1, whole // FRACTAL, 0, 0)
        end = t.Tensor("float16", (FRACTAL,), name="end", scope=self.tik.scope_ubuf)
        t.data_move(end, self.x[start + width - FRACTAL], 0, 1, 1, 0, 0)
        for k in range(rest):
            row[whole + k].set_as(end[FRACTAL - rest + k])

    def _clear_beyond(self, rows: Any, count: int, width: int) -> None:
        """Zeros in the rest of the 32-byte block in which the rows end."""
        kept = width % FRACTAL
        mask = [0, (1 << FRACTAL) - (1 << kept)]
        pitch = self.tiling.block
        for first, number in tik_support.repeats(count):
            self.t.vector_dup(mask, rows[first * pitch + width - kept], 0.0, number, 1, pitch // FRACTAL)

    def _load_fractal(self, stripes: Any, q: Any, chunk: Any) -> None:
        self._for_each_case(q, chunk, lambda count, width: self._read_fractal(stripes, q, chunk, count, width))

    def _read_fractal(self, stripes: Any, q: Any, chunk: Any, count: int, width: int) -> None:
        """Stripes of the block from FRACTAL_NZ into L1, zeros where x has none."""
        t, tiling = self.t, self.tiling
        if (count, width) != (tiling.chunk_rows, tiling.block):
            self._clear(stripes)
        stripe_rows = -(-tiling.rows // FRACTAL) * FRACTAL
        rows = -(-count // FRACTAL) * FRACTAL
        start = (q * tiling.block * stripe_rows) + chunk * tiling.chunk_rows * FRACTAL
        gaps = (stripe_rows - rows, tiling.chunk_rows - rows)
        t.data_move(stripes, self.x[start], 0, -(-width // FRACTAL), rows, *gaps)

    def _clear(self, stripes: Any) -> None:
        tiling = self.tiling
        zeros = self.t.Tensor("float16", (tiling.chunk_rows, FRACTAL), name="zeros", scope=self.tik.scope_ubuf)
        tik_support.fill(self.t, zeros, 0.0)
        for stripe in range(tiling.block // FRACTAL):
            self.t.data_move(stripes[stripe * tiling.chunk_rows * FRACTAL], zeros, 0, 1, tiling.chunk_rows, 0, 0)

    # On the cube, and back --------------------------------------------------------------------------------------------

    def _accumulate(self, total: Any, stripes: Any, is_first: Any) -> None:
        """total += chunk^T chunk, or = where the share begins."""
        t, tik, tiling = self.t, self.tik, self.tiling
        k1, n1 = tiling.chunk_rows // FRACTAL, tiling.block // FRACTAL
        left = t.Tensor("float16", (n1, k1, FRACTAL, FRACTAL), name="left", scope=tik.scope_ca)
        right = t.Tensor("float16", (k1, n1, FRACTAL, FRACTAL), name="right", scope=tik.scope_cb)
        t.load2dv1(left, stripes, 0, n1 * k1, 1, 0, True)
        for k in range(k1):
            t.load2dv1(right[k * n1 * FRACTAL_ITEMS], stripes[k * FRACTAL_ITEMS], 0, n1, k1, 0, True)
        with t.if_scope(is_first):
            t.mmad(total, left, right, tiling.block, tiling.chunk_rows, tiling.block, 0)
        with t.else_scope():
            t.mmad(total, left, right, tiling.block, tiling.chunk_rows, tiling.block, 1)

    def _store(self, q: Any, total: Any) -> None:
        """packed[q] = total / N, strip by strip; added where other cores hold other shares."""
        t, tiling = self.t, self.tiling
        across = tiling.block // tiling.strip_columns
        if not tiling.exclusive:
            t.set_atomic_add(1)
        with t.for_range(0, tiling.block // tiling.strip_rows * across, thread_num=2) as strip:
            self._store_strip(q, total, strip // across, strip % across)
        if not tiling.exclusive:
            t.set_atomic_add(0)

    def _store_strip(self, q: Any, total: Any, down: Any, right: Any) -> None:
        t, tiling = self.t, self.tiling
        m1, n1, height = (n // FRACTAL for n in (tiling.strip_rows, tiling.strip_columns, tiling.block))
        part, shape = (
            total[(right * n1 * height + down * m1) * FRACTAL_ITEMS],
            (tiling.strip_rows, tiling.strip_columns),
        )
        rows = tik_support.fractals_to_rows(t, part, height, shape, 1.0 / tiling.rows)
        first = (q * tiling.block + down * tiling.strip_rows) * tiling.block + right * tiling.strip_columns
        gap = (tiling.block - tiling.strip_columns) // 8
        t.data_move(self.packed[first], rows, 0, tiling.strip_rows, tiling.strip_columns // 8, 0, gap)
