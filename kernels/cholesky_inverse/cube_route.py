"""Groups of up to 8 blocks inverted on the cube of Ascend 910, with three products of split fp16 numbers for one of fp32.

With D the powers of two that bring the diagonal of C + damping I into (1, 4] and N = D (C + damping I) D, the columns of N are
eliminated 16 at a time, left-looking. F_j (edge x 16) are the finished panels; for k = 0, 1, ...

    P = [0 above row block k; N below] - sum_{j<k} F_j F_j[k]^T,   R = cholesky(P[k])^-1,   F_k = P R^T,
    then F_k[k] = R^T and F_j[k] = 0 for j < k.

Row blocks of F_k up to k become those of L^-T, those below are L. At the end, with the rows up to j of F_j,

    (C + damping I)^-1 = D (sum_j F_j F_j^T) D.

Each fp32 operand is high + low, both fp16, and high high + high low + low high keeps 22 bits. P[k] of all matrices of the group
is factored at once, element by element, with one matrix in each of 8 fp32 lanes.

R is the inverse of the lower factor. P is held as its transpose, from the upper triangle of C: the loads to L0 turn it.

The low halves reach into fp16's subnormal numbers; a chip that flushed them would keep 11 bits less of small numbers.

In L1 `factor` holds 16 x 16 fractals [j][high, low][row block]: as it is, it is an operand of the cube and its own transpose.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, zip_longest
from typing import Any, Callable

from bert_thor.kernels.ascend.sizes import FP32_LANES, FRACTAL, FRACTAL_ITEMS
from bert_thor.kernels.ascend.tik_support import fill
from bert_thor.kernels.cholesky_inverse.lane_factor import LaneFactor
from bert_thor.kernels.cholesky_inverse.tiling import (
    GROUP,
    HALVES,
    ITEMS,
    LANES,
    ODD_HALVES,
    SLOTS,
    STRIPE_PITCH,
    Tiling,
)

FRACTAL_BLOCKS = FRACTAL_ITEMS // ITEMS
FRACTAL_REPEATS = FRACTAL_ITEMS // FP32_LANES
UPPER_LANES = sum((0xFF << row & 0xFF) << row * LANES for row in range(LANES))  # of 8 x 8, with the diagonal
PRODUCTS = ((0, 1), (1, 0), (0, 0))  # small ones first


class CubeRoute:
    """Emits the inversion of a group; its tensors live in the scope in which it is made."""

    def __init__(self, t: Any, tik: Any, tiling: Tiling, c: Any, damping: Any, inverse: Any) -> None:
        self.t, self.tik, self.tiling = t, tik, tiling
        self.c, self.damping, self.inverse = c, damping, inverse
        self.members = range(tiling.group)
        self._declare_buffers()
        self._declare_operands()
        self.lanes = LaneFactor(t, tik, tiling)
        fill(t, self.zeros, 0.0)

    def _ub(self, name: str, items: int, dtype: str = "float32") -> Any:
        return self.t.Tensor(dtype, (items,), name=name, scope=self.tik.scope_ubuf)

    def _declare_buffers(self) -> None:
        size, edge = self.tiling.panel_items, self.tiling.edge
        self.panel = [self._ub(f"panel_{m}", FRACTAL * self.tiling.row_pitch * ITEMS) for m in self.members]
        self.row_scale = [self._ub(f"row_scale_{m}", edge * ITEMS) for m in self.members]
        self.fresh = [self._ub(f"fresh_{s}", self.tiling.fractals * STRIPE_PITCH * ITEMS) for s in range(SLOTS)]
        self.rest = [
            self._ub(f"rest_{s}", size + FP32_LANES)[FP32_LANES:] for s in range(SLOTS)
        ]  # not in the banks of a panel
        self.split = [[self._ub(f"{part}_{s}", size, "float16") for part in ("high", "low")] for s in range(SLOTS)]
        self.zero = self._ub("zero", FRACTAL_ITEMS)
        self.odd_halves = self._ub("odd_halves", self.tiling.fractals * STRIPE_PITCH * ITEMS)
        self.column = self._ub("column", size)
        self.zeros = self._ub("zeros", 2 * FRACTAL_ITEMS, "float16")
        self.dampings = self._ub("dampings", GROUP * ITEMS)
        self.check = [self._ub(f"check_{m}", FP32_LANES) for m in self.members]
        self.sums = self._ub("sums", GROUP * ITEMS)

    def _declare_operands(self) -> None:
        t, tik, tiling = self.t, self.tik, self.tiling
        size = tiling.panel_items

        def tensors(name: str, count: int, dtype: str, items: int, scope: str) -> list[Any]:
            return [t.Tensor(dtype, (items,), name=f"{name}_{n}", scope=scope) for n in range(count)]

        self.factor = tensors("factor", tiling.group, "float16", 2 * size * tiling.fractals, tik.scope_cbuf)
        self.operand = tensors("operand", tiling.group, "float16", 2 * size, tik.scope_cbuf)
        self.root = tensors("root", 2, "float16", GROUP * FRACTAL_ITEMS, tik.scope_cbuf)
        self.sum = tensors("sum", tiling.group, "float32", size, tik.scope_cc)
        self.product = tensors("product", tiling.group, "float32", size, tik.scope_cc)
        self.result = cycle(tensors("result", 2, "float32", size * tiling.fractals, tik.scope_cc))
        self.left = cycle(tensors("left", 2, "float16", 2 * size * tiling.panels_at_once, tik.scope_ca))
        self.right = cycle(tensors("right", 2, "float16", 2 * size * tiling.panels_at_once, tik.scope_cb))

    def invert(self, base: Any, following: Any) -> None:
        """Blocks base to base + group - 1, which have been loaded, from c to inverse; those from `following` on are loaded meanwhile."""
        self._scales(base)
        self._in_slots(lambda m: self._scale_panel(m, 0))
        for k in range(self.tiling.fractals):
            self._eliminate(base, k)
        products = [self._multiply_out(0)]
        for m in self.members:
            if m + 1 < self.tiling.group:
                products.append(self._multiply_out(m + 1))
            self._store(base, m, products[m])
            with self.t.if_scope(following != base):
                self._load_member(following, m)

    def failures(self) -> list[Any]:
        """Scalars, one per block of the last group: 0 if its inverse is finite."""
        t, bits = self.t, []
        for m in self.members:
            t.vcadd(FP32_LANES, self.sums[m * ITEMS], self.check[m], 1, 1, 1, 8)
        for m in self.members:
            bits.append(t.Scalar("int32", f"failure_{m}"))
            bits[m].set_as(self.sums.reinterpret_cast_to("int32")[m * ITEMS])
        return bits

    # Scales -----------------------------------------------------------------------------------------------------------

    def load(self, base: Any) -> None:
        """What a group begins with."""
        for m in self.members:
            self._load_member(base, m)

    def _load_member(self, base: Any, m: int) -> None:
        """The tiles on the diagonal, the damping, and the first panel."""
        t, edge = self.t, self.tiling.edge
        tiles = edge // LANES
        for lane in range(LANES):
            source, target = self.c[(base + m) * edge**2 + lane * edge], self.row_scale[m][lane * tiles * ITEMS]
            t.data_move(target, source, 0, tiles, 1, edge, 0)
        t.data_move(self.dampings[m * ITEMS], self.damping[(base + m) // ITEMS * ITEMS], 0, 1, 1, 0, 0)
        self._load_panel(base, m, 0)

    def _scales(self, base: Any) -> None:
        """D from the diagonals."""
        for m in self.members:
            self.lanes.take_diagonal(m, self.row_scale[m])
        self.lanes.scale([self.dampings[m * ITEMS + (base + m) % ITEMS] for m in self.members], self.row_scale)

    def _load_panel(self, base: Any, m: int, k: int) -> None:
        """Row block k of C from the diagonal on: the transpose of column block k."""
        edge, pitch = self.tiling.edge, self.tiling.row_pitch
        source, blocks = self.c[(base + m) * edge**2 + FRACTAL * k * (edge + 1)], (edge - FRACTAL * k) // ITEMS
        self.t.data_move(self.panel[m], source, 0, FRACTAL, blocks, edge // ITEMS - blocks, pitch - blocks)

    # One column block -------------------------------------------------------------------------------------------------

    def _eliminate(self, base: Any, k: int) -> None:
        for m in self.members:
            for _ in self._accumulate(m, k, range(max(0, k - 1), k)):
                pass
        self._in_slots(lambda m: self._take_panel(m, k))
        meanwhile = self._begin_next(base, k + 1) if k + 1 < self.tiling.fractals else iter(())
        for _ in self.lanes.factor(k):
            next(meanwhile, None)
        for _ in meanwhile:
            pass
        for part in (0, 1):
            self.t.data_move(self.root[part], self.lanes.root[part], 0, 1, GROUP * FRACTAL_ITEMS // HALVES, 0, 0)
        for m in self.members:
            self._multiply_root(m)
        self._in_slots(lambda m: self._finish_panel(m, k))

    def _begin_next(self, base: Any, k: int) -> Iterator[None]:
        """What can be done for column block k before F_{k-1} is there, so little at a time that no queue of instructions is full."""
        for m in self.members:
            self._load_panel(base, m, k)
            yield
        for m in self.members:
            self._clear_row(m, k - 1)
            yield from self._accumulate(m, k, range(k - 1))
        for m in self.members:
            yield from self._scale_panel(m, k)

    def _in_slots(self, work: Callable[[int], Iterator[None]]) -> None:
        """`work(m)` for all members, as many in turn as there are buffers: one waits for its results while another goes on."""
        for first in range(0, self.tiling.group, SLOTS):
            for _ in zip_longest(*(work(m) for m in self.members[first : first + SLOTS])):
                pass

    def _accumulate(self, m: int, k: int, panels: range) -> Iterator[None]:
        """sum += sum_j F_j[k] F_j^T over some panels: the transpose of what is to be subtracted; the first panel begins it."""
        t, tiling = self.t, self.tiling
        slot, fractals = 2 * tiling.panel_items, tiling.fractals
        for first in panels[:: tiling.panels_at_once]:
            count = min(tiling.panels_at_once, panels.stop - first)
            left, right = next(self.left), next(self.right)
            t.load2dv1(left, self.factor[m][first * slot + k * FRACTAL_ITEMS], 0, 2 * count, fractals, 0, False)
            t.load2dv1(right, self.factor[m][first * slot], 0, count * 2 * fractals, 1, 0, False)
            for j in range(count):
                for a, b in PRODUCTS:
                    begins = first == 0 and j == 0 and (a, b) == PRODUCTS[0]
                    row, panel = left[(2 * j + a) * FRACTAL_ITEMS], right[(2 * j + b) * tiling.panel_items]
                    t.mmad(self.sum[m], row, panel, FRACTAL, FRACTAL, tiling.edge, 0 if begins else 1)
                yield

    def _clear_row(self, m: int, k: int) -> None:
        """F_j[k] = 0 for j < k."""
        slot, blocks = 2 * self.tiling.panel_items, FRACTAL_ITEMS // HALVES
        for j in range(k):
            target, gap = self.factor[m][j * slot + k * FRACTAL_ITEMS], (self.tiling.fractals - 1) * blocks
            self.t.data_move(target, self.zeros, 0, 2, blocks, 0, gap)

    def _scale_panel(self, m: int, k: int) -> Iterator[None]:
        """Row r and column c of the panel times D_r D_c."""
        t, pitch, blocks = self.t, self.tiling.row_pitch, 2 * (self.tiling.fractals - k)
        for first in range(0, blocks, LANES):
            here, mask = self.panel[m][first * ITEMS], ITEMS * min(LANES, blocks - first)
            rows = self.row_scale[m][k * FRACTAL * ITEMS]
            t.vmul(mask, here, here, rows, FRACTAL, 1, 1, 0, pitch, pitch, 1)
            yield
            columns = self.lanes.scale_along_lanes[m][(2 * k + first) * ITEMS]
            t.vmul(mask, here, here, columns, FRACTAL, 1, 1, 1, pitch, pitch, 0)
            yield

    def _take_panel(self, m: int, k: int) -> Iterator[None]:
        """P^T = scaled panel - sum, where the panel is zero above row block k; its tile k to the lanes, its parts to L1."""
        t, fresh, above = self.t, self.fresh[m % SLOTS], FRACTAL_REPEATS * k
        if k:
            t.data_move(fresh, self.sum[m], 0, 1, self.tiling.fractals, 0, 0)
            yield
        for down in (0, 1):
            for right in (0, 1):
                self._subtract_quarter(m, k, down, right)
                yield
        if k:
            t.vmuls(FP32_LANES, fresh, fresh, -1.0, above, 1, 1, 8, 8)
        self.lanes.take_tile(m, fresh[k * FRACTAL_ITEMS])
        yield from self._split(m, fresh, self.operand[m])

    def _subtract_quarter(self, m: int, k: int, down: int, right: int) -> None:
        """8 rows and 8 columns of each fractal from row block k on."""
        t, pitch, fractals = self.t, self.tiling.row_pitch, self.tiling.fractals - k
        target = self.fresh[m % SLOTS][k * FRACTAL_ITEMS + (down * FRACTAL + right) * ITEMS]
        source = self.panel[m][(down * LANES * pitch + right) * ITEMS]
        if k:
            t.vsub(FP32_LANES, target, source, target, fractals, 2, pitch, 2, FRACTAL_BLOCKS, 2, FRACTAL_BLOCKS)
        else:
            t.vadds(FP32_LANES, target, source, 0.0, fractals, 2, pitch, FRACTAL_BLOCKS, 2)

    def _split(self, m: int, source: Any, target: Any) -> Iterator[None]:
        """A panel in UB as its high and low parts in L1."""
        t, slot = self.t, m % SLOTS
        (high, low), rest = self.split[slot], self.rest[slot]
        repeats, blocks = FRACTAL_REPEATS * self.tiling.fractals, self.tiling.panel_items // HALVES
        t.vconv(FP32_LANES, "none", high, source, repeats, 1, 1, 4, 8)
        t.data_move(target, high, 0, 1, blocks, 0, 0)
        yield
        t.vconv(FP32_LANES, "none", rest, high, repeats, 1, 1, 8, 4)
        yield
        t.vsub(FP32_LANES, rest, source, rest, repeats, 1, 1, 1, 8, 8, 8)
        yield
        t.vconv(FP32_LANES, "none", low, rest, repeats, 1, 1, 4, 8)
        t.data_move(target[self.tiling.panel_items], low, 0, 1, blocks, 0, 0)
        yield

    def _multiply_root(self, m: int) -> None:
        """product = P R^T."""
        t, tiling = self.t, self.tiling
        left, right = next(self.left), next(self.right)
        t.load2dv1(left, self.operand[m], 0, 2 * tiling.fractals, 1, 0, True)
        for part in (0, 1):
            t.load2dv1(right[part * FRACTAL_ITEMS], self.root[part][m * FRACTAL_ITEMS], 0, 1, 1, 0, True)
        for n, (a, b) in enumerate(PRODUCTS):
            panel, root = left[a * tiling.panel_items], right[b * FRACTAL_ITEMS]
            t.mmad(self.product[m], panel, root, tiling.edge, FRACTAL, FRACTAL, min(n, 1))

    def _finish_panel(self, m: int, k: int) -> Iterator[None]:
        """F_k to L1, its row block k replaced."""
        t, tiling, factor = self.t, self.tiling, self.factor[m]
        fresh, slot = self.fresh[m % SLOTS], 2 * tiling.panel_items
        t.data_move(fresh, self.product[m], 0, 1, tiling.fractals, 0, 0)
        yield
        yield from self._split(m, fresh, factor[k * slot])
        for part in (0, 1):
            target = factor[k * slot + part * tiling.panel_items + k * FRACTAL_ITEMS]
            t.data_move(target, self.lanes.root[part][m * FRACTAL_ITEMS], 0, 1, FRACTAL_ITEMS // HALVES, 0, 0)

    # The inverse ------------------------------------------------------------------------------------------------------

    def _multiply_out(self, m: int) -> Any:
        """sum_j F_j F_j^T, last panel first: each reaches as far as its row block."""
        t, tiling = self.t, self.tiling
        slot, at_once = 2 * tiling.panel_items, tiling.panels_at_once
        result = next(self.result)
        for first in reversed(range(0, tiling.fractals, at_once)):
            count = min(at_once, tiling.fractals - first)
            left, right = next(self.left), next(self.right)
            for operand in (left, right):
                t.load2dv1(operand, self.factor[m][first * slot], 0, count * 2 * tiling.fractals, 1, 0, False)
            for j in reversed(range(count)):
                columns = FRACTAL * (first + j + 1)
                for a, b in PRODUCTS:
                    begins = columns == tiling.edge and (a, b) == PRODUCTS[0]
                    panel, rows = (x[(2 * j + p) * tiling.panel_items] for x, p in ((left, a), (right, b)))
                    t.mmad(result, panel, rows, tiling.edge, FRACTAL, columns, 0 if begins else 1)
        return result

    def _store(self, base: Any, m: int, result: Any) -> None:
        """inverse = D result D, 16 rows at a time."""
        t, edge = self.t, self.tiling.edge
        fill(t, self.check[m], 0.0)
        for i in range(self.tiling.fractals):
            stripes, rows = self.fresh[i % SLOTS], self.rest[i % SLOTS]
            self._gather_rows(i, result, stripes)
            for _ in zip_longest(self._check(m, i, stripes), self._scale_rows(m, i, stripes, rows)):
                pass
            target = self.inverse[(base + m) * edge**2 + i * FRACTAL * edge]
            t.data_move(target, rows, 0, 1, FRACTAL * edge // ITEMS, 0, 0)

    def _scale_rows(self, m: int, i: int, stripes: Any, rows: Any) -> Iterator[None]:
        """Fractals to rows, column c times D_c and row r times D_r."""
        t, fractals = self.t, self.tiling.fractals
        for half in (0, 1):
            target, source = rows[half * ITEMS], stripes[half * ITEMS]
            columns, mask = self.lanes.scale_along_lanes[m][half * ITEMS], ITEMS * fractals
            t.vmul(mask, target, source, columns, FRACTAL, 2, STRIPE_PITCH, 2, 2 * fractals, 2, 0)
            yield
        for first in range(0, 2 * fractals, LANES):
            here, mask = rows[first * ITEMS], ITEMS * min(LANES, 2 * fractals - first)
            scale = self.row_scale[m][i * FRACTAL * ITEMS]
            t.vmul(mask, here, here, scale, FRACTAL, 1, 1, 0, 2 * fractals, 2 * fractals, 1)
            yield

    def _check(self, m: int, i: int, stripes: Any) -> Iterator[None]:
        """check += 0 times the diagonal of the inverse: that tells whether all of it is finite, as |x_ij|^2 <= x_ii x_jj."""
        t, zero, check = self.t, self.zero, self.check[m]
        diagonal, scale = stripes[i * STRIPE_PITCH * ITEMS], self.row_scale[m][i * FRACTAL * ITEMS]
        for source in (diagonal, zero):
            for half in (0, 1):
                here, there = zero[half * ITEMS], source[half * ITEMS]
                t.vmul(FP32_LANES, here, there, scale, 2, 2, 2, 1, FRACTAL, FRACTAL, LANES)
            yield
        t.vmuls(FP32_LANES, zero, zero, 0.0, FRACTAL_REPEATS, 1, 1, 8, 8)
        yield
        t.vadd(FP32_LANES, check, zero, check, FRACTAL_REPEATS, 1, 1, 1, 0, 8, 0)
        yield

    def _gather_rows(self, i: int, result: Any, stripes: Any) -> None:
        """Fractals of row block i: from the diagonal on those of the result, before it the transposes of column block i.

        The cube adds the products in another order below the diagonal; this makes the inverse exactly symmetric.
        """
        t, fractals, column = self.t, self.tiling.fractals, self.column
        t.data_move(column, result[i * fractals * FRACTAL_ITEMS], 0, 1, i + 1, 0, 0)
        right = fractals - 1 - i
        if right:
            source = result[((i + 1) * fractals + i) * FRACTAL_ITEMS]
            t.data_move(stripes[(i + 1) * STRIPE_PITCH * ITEMS], source, 0, right, 1, fractals - 1, 2)
        self._transpose(i + 1, stripes, column)
        diagonal, source = stripes[i * STRIPE_PITCH * ITEMS], column[i * FRACTAL_ITEMS]
        for mask, block in (([0, UPPER_LANES], 0), (FP32_LANES, 1), ([0, UPPER_LANES], 2 * LANES + 1)):
            t.vadds(mask, diagonal[block * ITEMS], source[block * ITEMS], 0.0, 1, 2, 2, 8, 8)

    def _transpose(self, count: int, stripes: Any, column: Any) -> None:
        """`count` transposes; numbers are turned as halves, each twice, and merged."""
        t = self.t
        source, target, odd = (x.reinterpret_cast_to("uint16") for x in (column, stripes, self.odd_halves))
        steps = (STRIPE_PITCH, FRACTAL_BLOCKS) if count > 1 else (0, 0)
        quarters = [(side, half) for side in (0, 1) for half in (0, 1)]
        for side, half in quarters:
            rows = [source[((side * LANES + n // 2) * 2 + half) * HALVES] for n in range(FRACTAL)]
            blocks = [(2 * (half * LANES + n) + side) * HALVES for n in range(LANES)]
            turned = [x[block] for block in blocks for x in (target, odd)]
            t.vnchwconv(False, False, turned, rows, count, *steps)
        for side, half in quarters:
            here, there = (x[(2 * half * LANES + side) * HALVES] for x in (target, odd))
            t.vor([ODD_HALVES] * 2, here, there, there, count, 2, 2, 2, *[STRIPE_PITCH] * 3)
