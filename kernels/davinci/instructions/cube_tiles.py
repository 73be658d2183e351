"""Products of the cube unit in tiles: what ``matmul`` and ``conv2d`` of TIK 1.5 share.

The left operand has rows x depth, the right one [depth / K0][columns][K0] in L1, the result [columns / 16][rows][16] in L0C.
Tiles are as large as half of L0A and L0B allow, so that the loop over the depth double-buffers; CANN searches its own tiling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable

import numpy as np

from ..errors import DataTypeError, Location, ScopeError
from ..machine import DEFAULT_CHIP, Machine
from .allocation import L0A, L0B, L0C, L1
from .tensors import Builder, Tensor

ROWS = 16
FRACTAL_BYTES = 512
HALF_L0_FRACTALS = 64
TYPES = (("float16", "float32"), ("int8", "int32"))

Load = Callable[[Tensor, int, int, Any, int], None]


@dataclass(frozen=True)
class Product:
    """One product.

    Attributes:
        dst, right: the result in L0C and the right operand in L1.
        load: fills a tensor in L0A: (tensor, first fractal row, fractal rows, first fractal of the depth, fractals).
        rows, depth, columns: sizes in elements.
        overwrite: False adds to what ``dst`` holds.
    """

    dst: Tensor
    right: Tensor
    load: Load
    rows: int
    depth: int
    columns: int
    overwrite: bool

    @property
    def depth_of_fractal(self) -> int:
        """K0: 16 float16 or 32 int8."""
        return 32 // np.dtype(self.right.dtype).itemsize


@dataclass(frozen=True)
class Tile:
    """A tile of the result, in fractals, and its sizes in elements."""

    first_row: int
    rows: int
    first_column: int
    columns: int
    m: int
    n: int


def check_operands(call: str, dst: Tensor, left: Tensor, right: Tensor, where: Location) -> None:
    """Refuse buffers and types that the cube unit does not join."""
    for tensor, scope in ((dst, L0C), (left, L1), (right, L1)):
        if tensor.scope != scope:
            raise ScopeError(f"{call}: {tensor.name} is in {tensor.scope}; it must be in {scope}", where)
    if (left.dtype, dst.dtype) not in TYPES or left.dtype != right.dtype:
        raise DataTypeError(
            f"{call} takes float16 x float16 to float32 or int8 x int8 to int32; not {left.dtype}, {right.dtype}, {dst.dtype}",
            where,
        )


def multiply(tik: Builder, product: Product) -> None:
    """Emit the instructions of a product."""
    k0 = product.depth_of_fractal
    m1, k1, n1 = -(-product.rows // ROWS), -(-product.depth // k0), -(-product.columns // ROWS)
    limit = HALF_L0_FRACTALS
    while True:
        m_tile = min(m1, limit)
        n_tile = min(n1, limit) if m_tile == m1 else 1
        k_tile = max(1, min(k1, limit // max(m_tile, n_tile)))
        if limit == 1 or _fits(tik, max(m_tile, n_tile) * k_tile, k1 > k_tile):
            break
        limit //= 2
    for i in range(0, m1, m_tile):
        for j in range(0, n1, n_tile):
            rows, columns = min(m_tile, m1 - i), min(n_tile, n1 - j)
            m, n = min(product.rows - i * ROWS, rows * ROWS), min(product.columns - j * ROWS, columns * ROWS)
            _accumulate(tik, product, Tile(i, rows, j, columns, m, n), k_tile)


def _fits(tik: Builder, fractals: int, loops: bool) -> bool:
    """Whether an operand's tile fits L0A and L0B as often as the loops around it, and its own, hold it."""
    capacity = min(Machine(DEFAULT_CHIP).capacity(scope) for scope in (L0A, L0B))
    return bool(fractals * FRACTAL_BYTES * tik.copies * (2 if loops else 1) <= capacity)


def _accumulate(tik: Builder, product: Product, tile: Tile, k_tile: int) -> None:
    """One tile of the result, accumulated over the depth."""
    k, k0 = product.depth, product.depth_of_fractal
    k1 = -(-k // k0)
    whole, rest = divmod(k1, k_tile)
    with tik.for_range(0, whole, thread_num=2 if whole > 1 else 1) as step:
        if rest or k % k0 == 0:
            _first_or_later(tik, product, tile, (step * k_tile, k_tile, k_tile * k0), step == 0)
        else:
            with tik.if_scope(step == whole - 1):
                last = (step * k_tile, k_tile, k - (whole - 1) * k_tile * k0)
                _first_or_later(tik, product, tile, last, step == 0)
            with tik.else_scope():
                _first_or_later(tik, product, tile, (step * k_tile, k_tile, k_tile * k0), step == 0)
    if rest:
        first = k1 - rest
        _multiply(tik, product, tile, (first, rest, k - first * k0), int(whole > 0 or not product.overwrite))


def _first_or_later(tik: Builder, product: Product, tile: Tile, part: tuple[Any, int, int], is_first: Any) -> None:
    if not product.overwrite:
        _multiply(tik, product, tile, part, 1)
        return
    with tik.if_scope(is_first):
        _multiply(tik, product, tile, part, 0)
    with tik.else_scope():
        _multiply(tik, product, tile, part, 1)


def _multiply(tik: Builder, product: Product, tile: Tile, part: tuple[Any, int, int], accumulate: int) -> None:
    """Load one slice of the depth and multiply."""
    first, blocks, k = part
    items = ROWS * product.depth_of_fractal
    m1, n1 = -(-product.rows // ROWS), -(-product.columns // ROWS)
    dtype = product.right.dtype
    left = tik.Tensor(dtype, (tile.rows * blocks * items,), scope=L0A, name="matmul_l0a")
    right = tik.Tensor(dtype, (blocks * tile.columns * items,), scope=L0B, name="matmul_l0b")
    product.load(left, tile.first_row, tile.rows, first, blocks)
    for block in range(blocks):
        source = product.right[((first + block) * n1 + tile.first_column) * items]
        tik.load2dv1(right[block * tile.columns * items], source, 0, tile.columns, 1, 0, False)
    start = (tile.first_column * m1 + tile.first_row) * ROWS * ROWS
    tik.mmad(product.dst[start], left, right, tile.m, k, tile.n, accumulate)
