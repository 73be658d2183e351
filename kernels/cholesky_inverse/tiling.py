"""How cholesky_inverse is cut for Ascend 910: whole blocks dealt out to cores, every core an equal stretch of them.

The vector sweep pads a block to an edge in multiples of 16 with the identity, which leaves the inverse as it is. The cube route
takes multiples of 16 only, and 8 blocks at a time where a core has as many.
"""

from __future__ import annotations

from dataclasses import dataclass

from bert_thor.kernels.ascend.sizes import FRACTAL, L0_BYTES, UB_BYTES, round_up

LANES = ITEMS = 8  # fp32 numbers of a 32-byte block: the edge of a tile of the vector sweep
HALVES = 16  # 16-bit numbers of one
EVEN_HALVES, ODD_HALVES = 0x5555555555555555, 0xAAAAAAAAAAAAAAAA  # masks
MIN_EDGE, MAX_EDGE = 8, 128
GROUP = 8  # blocks that the cube route factors together, one to an fp32 lane
SLOTS = 2  # buffers of what moves through UB, and of operands in L0
PRODUCTS = 4  # of a column of tiles with the pivot's row, held until they are subtracted
STRIPE_PITCH = 2 * FRACTAL + 2  # 32-byte blocks from fractal to fractal of a strip: its rows lie in several banks
STRIP_PITCH = FRACTAL + 1  # and from row to row of a strip of the sweep


@dataclass(frozen=True)
class Tiling:
    """The cut of c [blocks, edge, edge] over `cores` cores; `cube`: by the cube route, else by the vector sweep alone."""

    blocks: int
    edge: int
    cores: int
    cube: bool

    @property
    def padded(self) -> int:
        """Edge in whole fractals."""
        return round_up(self.edge, FRACTAL)

    @property
    def share(self) -> int:
        """Blocks of a core, at most."""
        return -(-self.blocks // self.cores)

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
        """Bytes of UB."""
        if not self.cube:
            return self._sweep_bytes()
        return 4 * round_up(self.share, LANES) + max(self._cube_bytes(), self._sweep_bytes())

    def _sweep_bytes(self) -> int:
        staged = self.padded * self.row_pitch
        columns = 2 * round_up(self.tiles // 2 * self.column_pitch, FRACTAL)
        images = 2 * FRACTAL * (1 + FRACTAL)
        transposed = FRACTAL * FRACTAL + FRACTAL
        products = PRODUCTS * (FRACTAL * LANES + FRACTAL)
        strips = 2 * LANES * STRIP_PITCH
        diagonal = 3 * LANES * self.tiles
        rest = 3 * LANES + self.padded + FRACTAL + 8  # keep, checks, pivots, correction and single blocks
        return 32 * (staged + columns + images + transposed + products + strips + diagonal + rest)

    def _cube_bytes(self) -> int:
        panel = 4 * self.panel_items
        strip = 32 * STRIPE_PITCH * self.fractals
        rows = 32 * FRACTAL * self.row_pitch
        per_member = rows + 32 * self.padded + 32 * (LANES + 1)  # the panel, D in 8 lanes, the check and the status
        per_slot = strip + 2 * panel + 32 * LANES  # fresh, split, rest
        shared = panel + strip + 2 * 2 * FRACTAL**2 + 4 * FRACTAL**2 + 2 * 32 * GROUP
        return self.group * per_member + SLOTS * per_slot + shared + self._lane_bytes()

    def _lane_bytes(self) -> int:
        """Bytes of UB of the factor of 16 x 16 matrices, one to a lane."""
        matrices = 3 * 2 * FRACTAL * (LANES + 1) + 2 * FRACTAL
        turned = GROUP * 2 * FRACTAL + FRACTAL * LANES + 2 * GROUP * FRACTAL
        vectors = 3 * FRACTAL + 2 * self.group * (self.padded // LANES + 1) + self.padded + LANES + 2
        return 32 * (matrices + turned + vectors)

    def l1_bytes(self) -> int:
        """Bytes of L1: the finished panels and the one at hand, high and low parts, and R."""
        return self.group * 2 * 2 * self.panel_items * (self.fractals + 1) + 2 * 2 * GROUP * FRACTAL**2

    def l0_bytes(self) -> int:
        """Bytes of L0A, and of L0B."""
        return SLOTS * 2 * 2 * self.panel_items * self.panels_at_once

    def l0c_bytes(self) -> int:
        """Bytes of L0C: two panels per block of the group, and two results."""
        return 4 * self.panel_items * (2 * self.group + SLOTS * self.fractals)


def tile(blocks: int, edge: int, cores: int, cube: bool = True) -> Tiling:
    """Cut c [blocks, edge, edge]; `cube` asks for the cube route, which edges that are not multiples of 16 cannot have.

    Raises:
        ValueError: an edge outside 8 to 128, no blocks, or more of them than UB can note the failures of.
    """
    if not MIN_EDGE <= edge <= MAX_EDGE:
        raise ValueError(f"cholesky_inverse: the block edge is {edge}; the kernel takes {MIN_EDGE} to {MAX_EDGE}.")
    if blocks < 1:
        raise ValueError(f"cholesky_inverse: {blocks} blocks were given; the kernel takes 1 at least.")
    tiling = Tiling(blocks, edge, min(cores, blocks), cube and edge % FRACTAL == 0)
    if tiling.ub_bytes() > UB_BYTES:
        raise ValueError(
            f"cholesky_inverse: {blocks} blocks of {edge} on {tiling.cores} cores need {tiling.ub_bytes()} bytes of UB; the chip "
            f"has {UB_BYTES}; give the kernel fewer blocks or smaller ones."
        )
    return tiling
