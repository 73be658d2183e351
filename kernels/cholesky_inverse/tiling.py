"""How cholesky_inverse is cut for Ascend 910: whole blocks dealt out to cores, each padded to an edge in multiples of 16.

Every core takes an equal stretch of the blocks. Padding is the identity, so it leaves the inverse as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

FRACTAL = 16
LANES = 8  # fp32 numbers of a 32-byte block: the edge of a tile of the vector sweep
UB_BYTES, L1_BYTES, L0_BYTES, L0C_BYTES = 256 * 1024, 1024 * 1024, 64 * 1024, 256 * 1024
GROUP = 8  # blocks that the cube route factors together, one to an fp32 lane
SLOTS = 2  # buffers of what moves through UB, and of operands in L0
MIN_EDGE, MAX_EDGE = 8, 128
PRODUCTS = 4  # of a column of tiles with the pivot's row, held until they are subtracted


@dataclass(frozen=True)
class Tiling:
    """The cut of c [blocks, edge, edge] over `cores` cores."""

    blocks: int
    edge: int
    cores: int

    @property
    def padded(self) -> int:
        """Edge in whole fractals."""
        return _round_up(self.edge, FRACTAL)

    @property
    def tiles(self) -> int:
        """Tiles of 8 x 8 along the padded edge, an even number."""
        return self.padded // LANES

    @property
    def fractals(self) -> int:
        """Fractals along the padded edge."""
        return self.padded // FRACTAL

    @property
    def group(self) -> int:
        """Blocks of a group of the cube route: no core has fewer."""
        return min(GROUP, self.blocks // self.cores)

    @property
    def panel_items(self) -> int:
        """Numbers of a column block."""
        return self.padded * FRACTAL

    @property
    def panels_at_once(self) -> int:
        """Column blocks, high and low parts, that one buffer of L0 holds."""
        return min(self.fractals, L0_BYTES // SLOTS // (2 * 2 * self.panel_items))

    @property
    def row_pitch(self) -> int:
        """32-byte blocks from row to row of a block in UB; odd, so that a column touches all banks."""
        return self.tiles + 1

    @property
    def column_pitch(self) -> int:
        """32-byte blocks from one column of tiles to the next; odd for the same reason."""
        return self.padded + 1

    @property
    def ragged(self) -> bool:
        """Whether rows start between the 32-byte blocks of global memory."""
        return self.edge % LANES != 0

    def ub_bytes(self) -> int:
        """Bytes of UB of the vector sweep."""
        staged = self.padded * self.row_pitch
        columns = 2 * _round_up(self.tiles // 2 * self.column_pitch, FRACTAL)
        images = 2 * FRACTAL * (1 + FRACTAL)
        transposed = FRACTAL * FRACTAL + FRACTAL
        products = PRODUCTS * (FRACTAL * LANES + FRACTAL)
        strips = 2 * LANES * (FRACTAL + 1)
        diagonal = 3 * LANES * self.tiles
        rest = 3 * LANES + self.padded + FRACTAL + 8  # keep, checks, pivots, correction and single blocks
        return 32 * (staged + columns + images + transposed + products + strips + diagonal + rest)


def tile(blocks: int, edge: int, cores: int, ub_bytes: int = UB_BYTES) -> Tiling:
    """Cut c [blocks, edge, edge].

    Raises:
        ValueError: an edge outside 8 to 128, no blocks, or a UB (`ub_bytes`) too small.
    """
    if not MIN_EDGE <= edge <= MAX_EDGE:
        raise ValueError(f"cholesky_inverse: the block edge is {edge}; the kernel takes {MIN_EDGE} to {MAX_EDGE}.")
    if blocks < 1:
        raise ValueError(f"cholesky_inverse: {blocks} blocks were given; the kernel takes 1 at least.")
    tiling = Tiling(blocks, edge, min(cores, blocks))
    if tiling.ub_bytes() > ub_bytes:
        raise ValueError(f"cholesky_inverse: {tiling.ub_bytes()} bytes of UB are needed; the chip has {ub_bytes}.")
    return tiling


def _round_up(n: int, unit: int) -> int:
    return -(-n // unit) * unit
