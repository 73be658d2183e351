"""R = cholesky(P)^-1 of up to 8 matrices of 16 x 16 at once on the vector unit of Ascend 910: each matrix in its own fp32 lane.

A 32-byte block is one element of 8 matrices. Elimination with the identity folded in: for i = 0, 1, ... with p = P_ii and the
multipliers l_j = P_ij / p, column i becomes that of the identity and P_j -= l_j P_i for all rows j > i. The rows that are left,
row i over sqrt(p_i), are R. Nothing is read by the scalar unit and nothing is spread over lanes.

fp32 numbers change lanes as two 16-bit halves: vnchwconv turns 16 blocks of 16 halves, twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bert_thor.kernels.ascend.sizes import FP32_LANES, FRACTAL, FRACTAL_ITEMS
from bert_thor.kernels.ascend.tik_support import fill
from bert_thor.kernels.cholesky_inverse.tiling import (
    GROUP,
    HALVES,
    ITEMS,
    LANES,
    Tiling,
)

PITCH = LANES + 1  # 32-byte blocks from row to row of half a matrix: a column touches all banks
EXPONENT_BITS = 0x7F800000


class LaneFactor:
    """Emits scales, factors and their transposes; its tensors live in the scope in which it is made."""

    def __init__(self, t: Any, tik: Any, tiling: Tiling) -> None:
        self.t, self.tik, self.tiling = t, tik, tiling
        self.members = range(tiling.group)
        self._declare()
        fill(t, self.one, 1.0)
        t.vector_dup(FP32_LANES, self.exponents.reinterpret_cast_to("int32"), EXPONENT_BITS, 1, 1, 8)

    def _ub(self, name: str, blocks: int, dtype: str = "float32") -> Any:
        items = blocks * (ITEMS if dtype == "float32" else HALVES)
        return self.t.Tensor(dtype, (items,), name=name, scope=self.tik.scope_ubuf)

    def _declare(self) -> None:
        edge = self.tiling.edge
        half = FRACTAL * PITCH
        self.matrix, self.remainder = (
            [self._ub(f"{name}_{h}", half) for h in (0, 1)] for name in ("matrix", "remainder")
        )
        self.products = [self._ub(f"products_{h}", half + FRACTAL) for h in (0, 1)]
        self.turned = self._ub("turned", GROUP * 2 * FRACTAL)
        self.narrow = self._ub("narrow", FRACTAL * ITEMS, "float16")
        self.root = [self._ub(f"root_{part}", GROUP * FRACTAL, "float16") for part in ("high", "low")]
        self.multipliers, self.pivots, self.norms = (
            self._ub(name, FRACTAL) for name in ("multipliers", "pivots", "norms")
        )
        odd = [self._ub(f"scale_{m}", edge // ITEMS + 2) for m in self.members]
        self.scale_along_lanes = [tensor[ITEMS:] for tensor in odd]  # not in the banks of what they scale, even blocks
        self.damping_along_lanes = [self._ub(f"damping_{m}", edge // ITEMS) for m in self.members]
        self.damped = self._ub("damped", edge)
        self.exponents = self._ub("exponents", LANES)
        self.reciprocal, self.one = (self._ub(name, 1) for name in ("reciprocal", "one"))

    # Scales -----------------------------------------------------------------------------------------------------------

    def take_diagonal(self, m: int, tiles: Any) -> None:
        """`tiles`: row `lane` of all 8 x 8 tiles on the diagonal, row after row."""
        count = self.tiling.edge // LANES
        for lane in range(LANES):
            self._masked(lane, count, self.scale_along_lanes[m], tiles[lane * count * ITEMS])

    def _masked(self, lane: int, count: int, target: Any, source: Any) -> None:
        """One lane of `count` blocks."""
        for first in range(0, count, LANES):
            number = min(LANES, count - first)
            mask = [0, sum(1 << (lane + LANES * n) for n in range(number))]
            self.t.vadds(mask, target[first * ITEMS], source[first * ITEMS], 0.0, 1, 1, 1, 8, 8)

    def scale(self, dampings: list[Any], row_scale: list[Any]) -> None:
        """D along lanes and, in `row_scale`, each number in 8 lanes; damping D^2 with one matrix to a lane."""
        t = self.t
        values = [t.Scalar("float32", f"damping_of_{m}") for m in self.members]
        for value, damping in zip(values, dampings):
            value.set_as(damping)
        for m in self.members:
            self._scale_matrix(m, values[m])
        for m in self.members:
            self._turn(m, self._blocks(self.damping_along_lanes[m]), 1)
        self._one_matrix_a_lane(0, self._tiles(self.damped))
        for m in self.members:
            self._turn(m, self._blocks(self.scale_along_lanes[m]), 1)
            self._spread(m, row_scale[m])

    def _blocks(self, tensor: Any) -> list[Any]:
        """16 blocks of a tensor with one number per row, the last one again where there are fewer."""
        halves, last = tensor.reinterpret_cast_to("uint16"), self.tiling.edge // ITEMS - 1
        return [halves[min(n, last) * HALVES] for n in range(FRACTAL)]

    def _tiles(self, tensor: Any) -> list[Any]:
        """The starts of 16 times 8 blocks of a tensor with one block per row, the last ones again where there are fewer."""
        halves, last = tensor.reinterpret_cast_to("uint16"), self.tiling.edge // ITEMS - 1
        return [halves[min(n, last) * LANES * HALVES] for n in range(FRACTAL)]

    def _scale_matrix(self, m: int, damping: Any) -> None:
        """D = 2 / sqrt(diagonal), rounded down to a power of two."""
        t, scale, damped = self.t, self.scale_along_lanes[m], self.damping_along_lanes[m]
        mask = FP32_LANES if self.tiling.edge % FP32_LANES == 0 else FRACTAL
        count, step = self.tiling.edge // mask, mask // ITEMS
        t.vadds(mask, scale, scale, damping, count, 1, 1, step, step)
        t.vsqrt(mask, scale, scale, count, 1, 1, step, step)
        t.vdiv(mask, scale, self.one, scale, count, 1, 0, 1, step, 0, step)
        t.vmuls(mask, scale, scale, 2.0, count, 1, 1, step, step)
        halves, exponents = (x.reinterpret_cast_to("uint16") for x in (scale, self.exponents))
        t.vand(2 * mask, halves, halves, exponents, count, 1, 1, 1, step, step, 0)
        t.vmul(mask, damped, scale, scale, count, 1, 1, 1, step, step, step)
        t.vmuls(mask, damped, damped, damping, count, 1, 1, step, step)

    # Between rows and lanes -------------------------------------------------------------------------------------------

    def take_tile(self, m: int, tile: Any) -> None:
        """One 16 x 16 fractal, which may be overwritten afterwards."""
        halves = tile.reinterpret_cast_to("uint16")
        self._turn(m, [halves[n * HALVES] for n in range(FRACTAL)], 2)

    def _turn(self, m: int, blocks: list[Any], count: int) -> None:
        """`turned`: row h of part m * 2 + r holds half h of the 16 blocks from 16 r on."""
        halves = self.turned.reinterpret_cast_to("uint16")
        rows = [halves[(m * 2 * FRACTAL + n) * HALVES] for n in range(FRACTAL)]
        stride = FRACTAL if count > 1 else 0
        self.t.vnchwconv(False, False, rows, blocks, count, stride, stride)

    def _one_matrix_a_lane(self, part: int, targets: list[Any]) -> None:
        """Number n of block i of each matrix to block n of target i, one matrix to a lane; lanes without a matrix repeat others."""
        halves = self.turned.reinterpret_cast_to("uint16")
        rows = []
        for lane in range(LANES):
            first = (lane % self.tiling.group * 2 + part) * FRACTAL
            rows += [halves[(first + half) * HALVES] for half in (0, 1)]
        self.t.vnchwconv(False, False, targets, rows, LANES, 1, 2)

    def _spread(self, m: int, target: Any) -> None:
        """Number n of block i of matrix m to all lanes of block 8 i + n."""
        halves = self.turned.reinterpret_cast_to("uint16")
        rows = [halves[(m * 2 * FRACTAL + n % 2) * HALVES] for n in range(FRACTAL)]
        self.t.vnchwconv(False, False, self._tiles(target), rows, LANES, 1, 2)

    # The factor -------------------------------------------------------------------------------------------------------

    def factor(self, k: int) -> Iterator[None]:
        """R^T of the tiles taken, as the high and low parts `root`, an instruction at a time."""
        t = self.t
        for part in (0, 1):
            halves = [matrix.reinterpret_cast_to("uint16") for matrix in self.matrix]
            rows = [halves[n % 2][(part * LANES + n // 2) * PITCH * HALVES] for n in range(FRACTAL)]
            self._one_matrix_a_lane(part, rows)
            yield
        for side, matrix in enumerate(self.matrix):
            diagonal, damped = matrix[side * LANES * PITCH * ITEMS], self.damped[(k * FRACTAL + side * LANES) * ITEMS]
            t.vadd(FP32_LANES, diagonal, diagonal, damped, 1, PITCH + 1, PITCH + 1, 1, 8, 8, 8)
            yield
        for i in range(FRACTAL):
            yield from self._eliminate(i)
        t.vsqrt(FP32_LANES, self.norms, self.pivots, 2, 1, 1, 8, 8)
        yield
        t.vdiv(FP32_LANES, self.norms, self.one, self.norms, 2, 1, 0, 1, 8, 0, 8)
        yield
        for matrix in self.matrix:
            t.vmul(FP32_LANES, matrix, matrix, self.norms, FRACTAL, 1, 1, 0, PITCH, PITCH, 1)
            yield
        yield from self._split()

    def _eliminate(self, i: int) -> Iterator[None]:
        """Column i becomes that of the identity, the rows below lose their multiple of row i."""
        t, below = self.t, FRACTAL - 1 - i
        column = self.matrix[i // LANES][i % LANES * ITEMS]
        pivot = self.matrix[i // LANES][(i * PITCH + i % LANES) * ITEMS]
        t.vadds(ITEMS, self.pivots[i * ITEMS], pivot, 0.0, 1, 1, 1, 8, 8)
        if below:
            t.vdiv(ITEMS, self.reciprocal, self.one, pivot, 1, 1, 1, 1, 8, 8, 8)
            yield
            for side, matrix in enumerate(self.matrix):
                row, target = matrix[i * PITCH * ITEMS], self.multipliers[side * LANES * ITEMS]
                t.vmul(FP32_LANES, target, row, self.reciprocal, 1, 1, 1, 0, 8, 8, 0)
        t.vector_dup(FP32_LANES, column, 0.0, 2, PITCH, LANES * PITCH)
        t.vector_dup(ITEMS, pivot, 1.0, 1, 1, 8)
        yield
        if not below:
            return
        start = (i + 1) * PITCH
        products = [product[(start + LANES) % FRACTAL * ITEMS] for product in self.products]
        for matrix, product in zip(self.matrix, products):
            multipliers = self.multipliers[(i + 1) * ITEMS]
            t.vmul(FP32_LANES, product, multipliers, matrix[i * PITCH * ITEMS], below, 1, 0, 1, PITCH, 1, 0)
            yield
        for matrix, product in zip(self.matrix, products):
            here = matrix[start * ITEMS]
            t.vsub(FP32_LANES, here, here, product, below, 1, 1, 1, PITCH, PITCH, PITCH)
            yield

    def _split(self) -> Iterator[None]:
        """The transposes of all matrices, high and low parts, one 16 x 16 fractal after the other."""
        t = self.t
        narrow = [self.narrow[side * LANES * GROUP] for side in (0, 1)]
        for source, high in zip(self.matrix, narrow):
            t.vconv(FP32_LANES, "none", high, source, FRACTAL, 1, 1, 8, PITCH)
            yield
        self._transpose(self.root[0])
        yield
        for rest, high in zip(self.remainder, narrow):
            t.vconv(FP32_LANES, "none", rest, high, FRACTAL, 1, 1, PITCH, 8)
            yield
        for rest, source in zip(self.remainder, self.matrix):
            t.vsub(FP32_LANES, rest, source, rest, FRACTAL, 1, 1, 1, PITCH, PITCH, PITCH)
            yield
        for rest, low in zip(self.remainder, narrow):
            t.vconv(FP32_LANES, "none", low, rest, FRACTAL, 1, 1, 8, PITCH)
            yield
        self._transpose(self.root[1])
        yield

    def _transpose(self, target: Any) -> None:
        """From one matrix in each of 8 lanes to matrix after matrix; columns become rows."""
        rows = [target[m * FRACTAL_ITEMS + n * HALVES] for n in (0, 1) for m in range(GROUP)]
        sources = [self.narrow[n * FRACTAL * GROUP] for n in range(FRACTAL)]
        self.t.vnchwconv(False, False, rows, sources, LANES, 2, 1)
