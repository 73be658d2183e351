"""How precondition is cut for Ascend 910: one pair of blocks (row of blocks, column of blocks) at a time, pairs dealt out to cores.

Pairs are counted along the rows of blocks, so that a core keeps one G^-1 for as many pairs as it can.
"""

from __future__ import annotations

from dataclasses import dataclass

from bert_thor.kernels.ascend.sizes import FP32_LANES, FRACTAL

MAX_BLOCK = 128
STRIP_ROWS = 32  # of the result, stored at once


@dataclass(frozen=True)
class Tiling:
    """The cut of dW [outputs, inputs] with blocks of edges `bg` (G^-1) and `ba` (A^-1) over `cores` cores.

    Attributes:
        down, across: blocks along the outputs and along the inputs.
        tail_outputs, tail_inputs: rows and columns of the last blocks (0: they are full).
    """

    outputs: int
    inputs: int
    bg: int
    ba: int
    cores: int
    down: int
    across: int
    tail_outputs: int
    tail_inputs: int

    @property
    def pairs(self) -> int:
        """Pairs of blocks."""
        return self.down * self.across

    def ub_bytes(self) -> int:
        """Bytes of UB: two fp32 blocks, the maxima, and what follows in turn: a block in fp16, two strips of the result."""
        largest = max(self.bg, self.ba)
        strips = 2 * 4 * self.ba * (2 * STRIP_ROWS + 1)
        stripes = 2 * largest * (largest + 1)
        return 2 * 4 * largest**2 + 4 * 4 * FP32_LANES + 32 + max(stripes, strips)

    def l1_bytes(self) -> int:
        """Bytes of L1: G^-1, dW, A^-1 and the intermediate in fp16."""
        return 2 * (self.bg**2 + self.ba**2 + 2 * self.bg * self.ba)

    def l0_bytes(self) -> int:
        """Bytes of L0A or L0B, whichever is more: one operand in fp16."""
        return 2 * max(self.bg, self.ba) ** 2

    def l0c_bytes(self) -> int:
        """Bytes of L0C: both products."""
        return 2 * 4 * self.bg * self.ba


def tile(outputs: int, inputs: int, bg: int, ba: int, cores: int) -> Tiling:
    """Cut dW [outputs, inputs].

    Raises:
        ValueError: a block edge that is not a multiple of 16 up to 128, an empty dW, or inputs that do not fill 32-byte blocks.
    """
    for name, edge in (("G^-1", bg), ("A^-1", ba)):
        if edge % FRACTAL or not FRACTAL <= edge <= MAX_BLOCK:
            raise ValueError(
                f"precondition: blocks of {name} are {edge}; the kernel takes multiples of 16 up to {MAX_BLOCK}."
            )
    if outputs < 1 or inputs < 8 or inputs % 8:
        raise ValueError(f"precondition: dW is [{outputs}, {inputs}]; it takes 1 output and inputs in multiples of 8.")
    down, across = -(-outputs // bg), -(-inputs // ba)
    return Tiling(outputs, inputs, bg, ba, min(cores, down * across), down, across, outputs % bg, inputs % ba)
