"""One block inverted on the vector unit of Ascend 910 in fp32, by symmetric sweeps (Goodnight 1979, Am. Stat. 33:149).

Sweeping pivot k of the symmetric A with a = row k of A, p = a_k, v = a / sqrt(p), v_k = -1 / sqrt(p) is

    row k and column k of A = 0,   A -= v v^T,

and after all pivots A = -(C + damping I)^-1. p are the pivots of Cholesky's method. v_i v_j is v_j v_i to the last bit, so A stays
exactly symmetric and only the upper triangle is kept, as tiles of 8 x 8: a tile's row is one 32-byte block.

    tile (P, Q), P <= Q: element (8P + l, 8Q + m) in lane m of block `Q // 2 * column_pitch + 8P + l` of columns[Q % 2]

A sweep needs v twice: once along the lanes (`lane_image`, block Q is v of columns 8Q to 8Q+7), once spread over them
(`spread_image`, block 16P + l is v of row 8P + l in all 8 lanes). Row 8P + l of A is block l of the tiles right of the diagonal and
lane l of those above it; vnchwconv turns the latter, with each half of an fp32 number in a row of its own. While pivot k - 1
is subtracted, pivot k is made ready from the A before it: its row is corrected by v_k v.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bert_thor.kernels.ascend.sizes import FP32_LANES, FRACTAL
from bert_thor.kernels.ascend.tik_support import fill
from bert_thor.kernels.cholesky_inverse.tiling import (
    EVEN_HALVES,
    HALVES,
    ITEMS,
    LANES,
    ODD_HALVES,
    PRODUCTS,
    STRIP_PITCH,
    Tiling,
)

TILE_BLOCKS = LANES
LANE_REPEATS = FRACTAL // TILE_BLOCKS  # of a lane image
LOWER_LANES = sum(((1 << row) - 1) << row * LANES for row in range(LANES))  # of a tile, without the diagonal
NOT_FINITE = -1
INFINITY_BITS, MINUS_INFINITY_BITS = 0x7F800000, -0x800000  # of fp32 as int32; beyond either lie NaN, below zero too


class VectorSweep:
    """Emits the sweep of single blocks; its tensors live in the scope in which it is made."""

    def __init__(self, t: Any, tik: Any, tiling: Tiling, c: Any, inverse: Any) -> None:
        self.t, self.tik, self.tiling, self.c, self.inverse = t, tik, tiling, c, inverse
        self._declare()
        self._fill_constants()

    def _ub(self, name: str, blocks: int, dtype: str = "float32") -> Any:
        return self.t.Tensor(dtype, (blocks * ITEMS,), name=name, scope=self.tik.scope_ubuf)

    def _declare(self) -> None:
        """The large ones first and in multiples of 16 blocks: what meets in an instruction then lies in different banks."""
        tiling = self.tiling
        columns = -(-tiling.tiles // 2 * tiling.column_pitch // FRACTAL) * FRACTAL
        self.columns = [self._ub(f"columns_{parity}", columns) for parity in (0, 1)]
        self.spread_image = [self._ub(f"spread_image_{parity}", FRACTAL * FRACTAL) for parity in (0, 1)]
        self.lane_image = [self._ub(f"lane_image_{parity}", FRACTAL) for parity in (0, 1)]
        self.product = [self._ub(f"product_{n}", FRACTAL * TILE_BLOCKS + FRACTAL) for n in range(PRODUCTS)]
        self.turned_column = self._ub("turned_column", FRACTAL * FRACTAL)
        self.turned_row = self._ub("turned_row", FRACTAL)
        self.staged = self._ub("staged", tiling.padded * tiling.row_pitch)
        self.strips = [self._ub(f"strip_{parity}", LANES * STRIP_PITCH) for parity in (0, 1)]
        self.real, self.padding, self.diagonal = (
            self._ub(name, TILE_BLOCKS * tiling.tiles) for name in ("real", "padding", "diagonal")
        )
        self.keep = self._ub("keep", TILE_BLOCKS)
        self.pivots = self._ub("pivots", tiling.padded)
        self.checks = [self._ub(f"check_{parity}", TILE_BLOCKS) for parity in (0, 1)]
        self.one, self.root, self.correction, self.sum = (
            self._ub(name, n) for name, n in (("one", 1), ("root", 1), ("correction", FRACTAL), ("sum", 1))
        )

    def _fill_constants(self) -> None:
        """`real` and `padding`: tiles of the identity, for the block's rows and for those beyond; `keep`: 1 but for lane l of block l."""
        t, tiling = self.t, self.tiling
        for tensor in (*self.columns, *self.strips, self.turned_column, self.staged, self.real, self.padding):
            fill(t, tensor, 0.0)
        for tensor in (self.keep, self.one):
            fill(t, tensor, 1.0)
        for lane in range(LANES):
            self.keep[lane * ITEMS + lane].set_as(0.0)
        for diagonal, first, last in ((self.real, 0, tiling.edge), (self.padding, tiling.edge, tiling.padded)):
            with t.for_range(first, last) as row:
                diagonal[row * ITEMS + row % LANES].set_as(1.0)

    # One block --------------------------------------------------------------------------------------------------------

    def load(self, q: Any) -> None:
        """Bring block q of c into UB."""
        t, tiling = self.t, self.tiling
        width = -(-tiling.edge // ITEMS)
        start = q * tiling.edge**2
        if not tiling.ragged:
            t.data_move(self.staged, self.c[start], 0, tiling.edge, width, 0, tiling.row_pitch - width)
            return
        with t.for_range(0, tiling.edge - 1) as row:
            t.data_move(
                self.staged[row * tiling.row_pitch * ITEMS], self.c[start + row * tiling.edge], 0, 1, width, 0, 0
            )
        self._load_last_row(self.staged[(tiling.edge - 1) * tiling.row_pitch * ITEMS], start + tiling.edge**2)

    def _load_last_row(self, row: Any, end: Any) -> None:
        """The last row apart: its last 32-byte block may reach past the end of c, so 8 numbers are read up to there and picked singly."""
        t, tiling = self.t, self.tiling
        whole, rest = divmod(tiling.edge, ITEMS)
        t.data_move(row, self.c[end - tiling.edge], 0, 1, whole, 0, 0)
        with t.new_stmt_scope():
            last = self._ub("last", 1)
            t.data_move(last, self.c[end - ITEMS], 0, 1, 1, 0, 0)
            for k in range(rest):
                row[whole * ITEMS + k].set_as(last[ITEMS - rest + k])

    def invert(self, damping: Any, status: Any) -> None:
        """From C in the tiles to minus its damped inverse, and the scalar `status`; a block that failed becomes zeros."""
        self._mirror_diagonal()
        self._damp(damping)
        finite = self._sum_of_zeros("finite")
        with self.t.if_scope(finite == 0):
            self._sweep()
            self._judge(status)
        with self.t.else_scope():
            status.set_as(NOT_FINITE)
        with self.t.if_scope(status != 0):
            for tensor in self.columns:
                fill(self.t, tensor, 0.0)

    def unstage(self) -> None:
        """The upper tiles of the staged block; afterwards the next block may be loaded."""
        t, tiling = self.t, self.tiling
        for column in range(tiling.tiles):
            width = min(LANES, tiling.edge - column * LANES)
            target = self._column(column)
            if width <= 0:
                t.vector_dup(FP32_LANES, target, 0.0, column + 1, 1, TILE_BLOCKS)
                continue
            if width < LANES:
                t.vector_dup(FP32_LANES, target, 0.0, column + 1, 1, TILE_BLOCKS)
            mask = [0, sum(((1 << width) - 1) << lane for lane in range(0, FP32_LANES, LANES))]
            pitch = tiling.row_pitch
            t.vadds(mask, target, self.staged[column * ITEMS], 0.0, column + 1, 1, pitch, TILE_BLOCKS, LANES * pitch)

    def _mirror_diagonal(self) -> None:
        """The lower triangles of the tiles on the diagonal from their upper ones, which alone are read from c."""
        t, tiling = self.t, self.tiling
        step = tiling.column_pitch + 2 * TILE_BLOCKS
        for side, columns in enumerate(self.columns):
            here = columns[side * TILE_BLOCKS * ITEMS]
            t.vector_dup([0, LOWER_LANES], here, 0.0, tiling.tiles // 2, 1, step)
            halves, turned = (x.reinterpret_cast_to("uint16") for x in (here, self.turned_column))
            self._turn(halves, 0, tiling.tiles // 2, step)
            for lane in range(LANES):
                row = halves[lane * HALVES]
                for odd, word in enumerate((EVEN_HALVES, ODD_HALVES)):
                    source = turned[(2 * lane + odd) * FRACTAL * HALVES]
                    mask = [0, word & ((1 << HALVES) - 1)]
                    t.vor(mask, row, row, source, tiling.tiles // 2, 1, 1, 1, step, step, 1)

    def _damp(self, damping: Any) -> None:
        t, tiling = self.t, self.tiling
        t.vmuls(FP32_LANES, self.diagonal, self.real, damping, tiling.tiles, 1, 1, 8, 8)
        t.vadd(FP32_LANES, self.diagonal, self.diagonal, self.padding, tiling.tiles, 1, 1, 1, 8, 8, 8)
        for parity, columns in enumerate(self.columns):
            here = columns[parity * TILE_BLOCKS * ITEMS]
            step = tiling.column_pitch + 2 * TILE_BLOCKS
            source = self.diagonal[parity * TILE_BLOCKS * ITEMS]
            t.vadd(FP32_LANES, here, here, source, tiling.tiles // 2, 1, 1, 1, step, step, 2 * TILE_BLOCKS)

    def _column(self, column: int) -> Any:
        """The tiles of a column, first row first."""
        return self.columns[column % 2][column // 2 * self.tiling.column_pitch * ITEMS]

    # The sweep --------------------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        t, tiling = self.t, self.tiling
        for tensor in (self.spread_image[1], *self.lane_image):
            fill(t, tensor, 0.0)
        with t.for_range(0, tiling.tiles // 2) as pair:
            for side in (0, 1):
                with t.for_range(0, LANES // 2) as half:
                    for parity in (0, 1):
                        self._pivot(pair, side, half, parity)
        self._subtract(1, iter(()))

    def _pivot(self, pair: Any, side: int, half: Any, parity: int) -> None:
        """Pivot 8 (2 pair + side) + 2 half + parity is made ready while the one before it is subtracted."""
        t, tiling = self.t, self.tiling
        tile_row, lane = t.Scalar("int64", "tile_row", 2 * pair + side), t.Scalar("int64", "lane", 2 * half + parity)
        column = t.Scalar("int64", "column", pair * tiling.column_pitch * ITEMS)
        row = t.Scalar("int64", "row", (tile_row * LANES + lane) * ITEMS)
        self._subtract(1 - parity, self._prepare(parity, side, tile_row, lane, column, row))
        mask = LANES * (tiling.tiles // 2)
        for columns in self.columns:
            t.vector_dup(mask, columns[row], 0.0, 1, tiling.column_pitch, 8)
        here = self.columns[side][column]
        t.vmul(FP32_LANES, here, here, self.keep[lane * ITEMS], tiling.tiles, 1, 1, 0, TILE_BLOCKS, TILE_BLOCKS, 0)

    def _subtract(self, parity: int, meanwhile: Iterator[None]) -> None:
        """A -= v v^T with the images of this parity; between the instructions one step of `meanwhile` each."""
        waiting: list[tuple[int, Any]] = []
        tiles = self.tiling.tiles
        order = [column for low in range(0, tiles, 2) for column in (tiles - 1 - low, low)]
        for n, column in enumerate(order):
            waiting.append((column, self._multiply(parity, column, self.product[n % PRODUCTS])))
            next(meanwhile, None)
            if len(waiting) == PRODUCTS:
                self._take_off(*waiting.pop(0))
        for _ in meanwhile:
            pass
        for column, product in waiting:
            self._take_off(column, product)

    def _multiply(self, parity: int, column: int, product: Any) -> Any:
        """The products for one column of tiles, 8 blocks round from the column itself, so that both are read at once."""
        here = product[(column // 2 * self.tiling.column_pitch + 8) % FRACTAL * ITEMS]
        down, across = self.spread_image[parity], self.lane_image[parity][column * ITEMS]
        self.t.vmul(FP32_LANES, here, down, across, column + 1, 1, 1, 0, TILE_BLOCKS, FRACTAL, 0)
        return here

    def _take_off(self, column: int, product: Any) -> None:
        here = self._column(column)
        self.t.vsub(FP32_LANES, here, here, product, column + 1, 1, 1, 1, TILE_BLOCKS, TILE_BLOCKS, TILE_BLOCKS)

    def _prepare(self, parity: int, side: int, tile_row: Any, lane: Any, column: Any, row: Any) -> Iterator[None]:
        """Both images of the pivot, an instruction at a time."""
        t, lanes, spread = self.t, self.lane_image[parity], self.spread_image[parity]
        place = (tile_row * FRACTAL + lane) * ITEMS
        yield from self._gather_row(lanes, side, lane, column, row)
        before = self.spread_image[1 - parity][place]
        t.vmul(FP32_LANES, self.correction, self.lane_image[1 - parity], before, LANE_REPEATS, 1, 1, 0, 8, 8, 0)
        yield
        t.vsub(FP32_LANES, lanes, lanes, self.correction, LANE_REPEATS, 1, 1, 1, 8, 8, 8)
        yield
        yield from self._spread(lanes, spread)
        yield from self._scale(lanes, spread, spread[place], lanes[tile_row * ITEMS], lane, self.pivots[row])

    def _gather_row(self, lanes: Any, side: int, lane: Any, column: Any, row: Any) -> Iterator[None]:
        """The pivot's row of A; A is read in three steps, before anything is subtracted from it."""
        t, tiling = self.t, self.tiling
        for which, columns in enumerate(self.columns):
            mask, pitch = LANES * (tiling.tiles // 2), tiling.column_pitch
            t.vadds(mask, lanes[which * ITEMS], columns[row], 0.0, 1, 2, pitch, 8, 8)
            yield
        self._turn_column(self.columns[side], column)
        yield
        halves, turned = (x.reinterpret_cast_to("uint16") for x in (lanes, self.turned_column))
        for odd in (0, 1):
            source = t.Scalar("int64", "source", (2 * lane + odd) * FRACTAL * HALVES)
            self._merge(odd, halves, turned[source], LANE_REPEATS, TILE_BLOCKS, TILE_BLOCKS)
            yield

    def _scale(self, lanes: Any, spread: Any, pivot: Any, block: Any, lane: Any, record: Any) -> Iterator[None]:
        """v from the row, in both images: `pivot` is its place in `spread`, `block` its block in `lanes`; `record` keeps it."""
        t = self.t
        t.vsqrt(LANES, self.root, pivot, 1, 1, 1, 8, 8)
        yield
        t.vdiv(LANES, self.root, self.one, self.root, 1, 1, 1, 1, 8, 8, 8)
        t.vadds(LANES, record, pivot, 0.0, 1, 1, 1, 8, 8)
        t.vector_dup(LANES, pivot, -1.0, 1, 1, 8)
        bit = t.Scalar("int64", "bit", 1)
        bit.set_as(bit << lane)
        t.vector_dup([0, bit], block, -1.0, 1, 1, 8)
        yield
        t.vmul(FP32_LANES, lanes, lanes, self.root, LANE_REPEATS, 1, 1, 0, 8, 8, 0)
        t.vmul(FP32_LANES, spread, spread, self.root, self.tiling.tiles, 1, 1, 0, FRACTAL, FRACTAL, 0)
        yield

    def _turn_column(self, columns: Any, start: Any) -> None:
        """`turned_column` from a column of tiles."""
        first = self.t.Scalar("int64", "first", 2 * start)
        self._turn(columns.reinterpret_cast_to("uint16"), first, self.tiling.tiles, TILE_BLOCKS)

    def _turn(self, source: Any, first: Any, count: int, step: int) -> None:
        """Tiles to `turned_column`: block 16 h + n holds half h of the 8 rows of tile n, each twice."""
        target = self.turned_column.reinterpret_cast_to("uint16")
        rows = [source[first + n // 2 * HALVES] for n in range(FRACTAL)]
        halves = [target[n * FRACTAL * HALVES] for n in range(FRACTAL)]
        step, one = (step, 1) if count > 1 else (0, 0)
        self.t.vnchwconv(False, False, halves, rows, count, one, step)

    def _merge(self, odd: int, target: Any, turned: Any, count: int, pitch: int, step: int) -> None:
        """Stretches of 8 blocks |= what `turned` holds for their even or odd halves: where both are not zero they are the same."""
        word = ODD_HALVES if odd else EVEN_HALVES
        self.t.vor([word, word], target, target, turned, count, 1, 1, 1, pitch, pitch, step)

    def _spread(self, lanes: Any, spread: Any) -> Iterator[None]:
        """`spread`: each number of `lanes` in 8 lanes, block 16P + l from lane l of block P."""
        t, tiles = self.t, self.tiling.tiles
        source, middle, target = (x.reinterpret_cast_to("uint16") for x in (lanes, self.turned_row, spread))
        blocks = [source[n % tiles * HALVES] for n in range(FRACTAL)]
        t.vnchwconv(False, False, [middle[n * HALVES] for n in range(FRACTAL)], blocks, 1, 0, 0)
        yield
        pairs = [middle[n % 2 * HALVES] for n in range(FRACTAL)]
        t.vnchwconv(False, False, [target[n * FRACTAL * HALVES] for n in range(FRACTAL)], pairs, LANES, 1, 2)
        yield

    # What came out ----------------------------------------------------------------------------------------------------

    def _sum_of_zeros(self, name: str) -> Any:
        """The bits of 0 times the sum of all tiles: 0 if every number is finite."""
        t = self.t
        for check in self.checks:
            fill(t, check, 0.0)
        for n, column in enumerate(reversed(range(self.tiling.tiles))):
            product, check = self.product[n % PRODUCTS], self.checks[n % 2]
            t.vmuls(FP32_LANES, product, self._column(column), 0.0, column + 1, 1, 1, 8, 8)
            t.vadd(FP32_LANES, check, product, check, column + 1, 1, 1, 1, 0, 8, 0)
        t.vadd(FP32_LANES, self.checks[0], self.checks[0], self.checks[1], 1, 1, 1, 1, 8, 8, 8)
        t.vcadd(FP32_LANES, self.sum, self.checks[0], 1, 1, 1, 8)
        bits = t.Scalar("int32", name)
        bits.set_as(self.sum.reinterpret_cast_to("int32")[0])
        return bits

    def _judge(self, status: Any) -> None:
        """0 if the inverse is finite; else the first pivot that is not positive, or NOT_FINITE if they all are."""
        t = self.t
        finite = self._sum_of_zeros("finite_inverse")
        status.set_as(0)
        with t.if_scope(finite != 0):
            status.set_as(NOT_FINITE)
            pivots = self.pivots.reinterpret_cast_to("int32")
            bits, last = t.Scalar("int32", "bits"), self.tiling.edge - 1
            with t.for_range(0, self.tiling.edge) as n:
                bits.set_as(pivots[(last - n) * ITEMS])
                with t.if_scope(self.tik.any(bits == 0, bits <= MINUS_INFINITY_BITS)):
                    status.set_as(last - n + 1)
                with t.elif_scope(self.tik.any(bits < 0, bits > INFINITY_BITS)):
                    status.set_as(NOT_FINITE)

    # To global memory -------------------------------------------------------------------------------------------------

    def store(self, q: Any) -> None:
        """inverse[q] = -A, 8 rows at a time."""
        t, tiling = self.t, self.tiling
        with t.for_range(0, tiling.tiles // 2) as pair:
            for side in (0, 1):
                tile_row = t.Scalar("int64", "tile_row", 2 * pair + side)
                with t.if_scope(tile_row * LANES < tiling.edge):
                    self._gather_rows(self.strips[side], side, tile_row, pair)
                    self._store_rows(q, self.strips[side], tile_row)

    def _gather_rows(self, strip: Any, side: int, tile_row: Any, pair: Any) -> None:
        """8 rows of -A."""
        t, tiling = self.t, self.tiling
        for which, columns in enumerate(self.columns):
            source, target = columns[tile_row * TILE_BLOCKS * ITEMS], strip[which * ITEMS]
            t.vadds(FP32_LANES, target, source, 0.0, tiling.tiles // 2, STRIP_PITCH, 1, 2, tiling.column_pitch)
        self._turn_column(self.columns[side], pair * tiling.column_pitch * ITEMS)
        halves, turned = (x.reinterpret_cast_to("uint16") for x in (strip, self.turned_column))
        for odd in (0, 1):
            for first in (0, TILE_BLOCKS * HALVES):
                source = turned[odd * FRACTAL * HALVES + first]
                self._merge(odd, halves[first], source, LANES, STRIP_PITCH, 2 * FRACTAL)
        for first in (0, FP32_LANES):
            t.vmuls(FP32_LANES, strip[first], strip[first], -1.0, LANES, 1, 1, STRIP_PITCH, STRIP_PITCH)

    def _store_rows(self, q: Any, strip: Any, tile_row: Any) -> None:
        t, tiling = self.t, self.tiling
        width, pitch = -(-tiling.edge // ITEMS), STRIP_PITCH
        first = t.Scalar("int64", "first_row", tile_row * LANES)
        start = q * tiling.edge**2 + first * tiling.edge
        if not tiling.ragged:
            t.data_move(self.inverse[start], strip, 0, LANES, width, pitch - width, 0)
            return
        rows = t.Scalar("int64", "rows")
        t.scalar_min(rows, tiling.edge - first, LANES)
        last = t.Scalar("int64", "last_row", (first + rows) // tiling.edge)
        with t.for_range(0, rows - last) as row:
            t.data_move(self.inverse[start + row * tiling.edge], strip[row * pitch * ITEMS], 0, 1, width, 0, 0)
        with t.if_scope(last == 1):
            self._store_last_row(strip, (tiling.edge - 1) % LANES * STRIP_PITCH * ITEMS, (q + 1) * tiling.edge**2)

    def _store_last_row(self, strip: Any, row: int, end: Any) -> None:
        """A row whose last 32-byte block would reach into the next block: its last 8 numbers are stored apart."""
        t, edge = self.t, self.tiling.edge
        t.data_move(self.inverse[end - edge], strip[row], 0, 1, edge // ITEMS, 0, 0)
        last = self._ub("last", 1)
        for k in range(ITEMS):
            last[k].set_as(strip[row + edge - ITEMS + k])
        t.data_move(self.inverse[end - ITEMS], last, 0, 1, 1, 0, 0)
