"""How fisher_covariance is cut for Ascend 910: blocks of columns times chunks of rows, dealt out evenly to the cores.

A chunk is `chunk_rows` rows of one block's columns. All chunks of all blocks stand in one line, block after block, and
every core takes an equal stretch of it, so any number of blocks keeps any number of cores busy. A core whose stretch
holds a block only in part adds its share to the output atomically.
"""

from __future__ import annotations

from dataclasses import dataclass

from bert_thor.kernels.ascend.sizes import FRACTAL, L0_BYTES, round_up

MAX_BLOCK = 256  # block^2 fp32 numbers are all of L0C then
STRIP_ROWS, STRIP_COLUMNS = 64, 128
BUFFERS = 2  # everything that is loaded is double-buffered


@dataclass(frozen=True)
class Tiling:
    """The cut of x [rows, features] with blocks of `block` columns over `cores` cores.

    Attributes:
        chunk_rows: rows of a chunk, a multiple of 16; the last one of a block has `tail_rows` (0: none is short).
        chunks: chunks per block.
        blocks: number of blocks; the last one has `tail_features` columns (0: it is full).
        strip_rows, strip_columns: part of a finished block that goes to global memory at once.
    """

    rows: int
    features: int
    block: int
    cores: int
    chunk_rows: int
    chunks: int
    tail_rows: int
    blocks: int
    tail_features: int
    strip_rows: int
    strip_columns: int

    @property
    def total(self) -> int:
        """Chunks of all blocks."""
        return self.blocks * self.chunks

    @property
    def exclusive(self) -> bool:
        """Whether every block belongs to one core, so that no sum is made in global memory."""
        return self.total % self.cores == 0 and self.total // self.cores % self.chunks == 0

    @property
    def ragged(self) -> bool:
        """Whether rows start between the 32-byte blocks of global memory."""
        return self.features % FRACTAL != 0

    def ub_bytes(self) -> int:
        """Bytes of UB at the worst moment: while loading, or while storing."""
        loading = BUFFERS * 2 * self.chunk_rows * self.block + BUFFERS * 64
        padded_strip = self.strip_columns * (self.strip_rows + 1) * 4
        return max(loading, BUFFERS * (padded_strip + self.strip_rows * self.strip_columns * 4))

    def l1_bytes(self) -> int:
        """Bytes of L1."""
        return BUFFERS * 2 * self.chunk_rows * self.block

    def l0_bytes(self) -> int:
        """Bytes of L0A, and of L0B."""
        return BUFFERS * 2 * self.chunk_rows * self.block

    def l0c_bytes(self) -> int:
        """Bytes of L0C."""
        return 4 * self.block**2


def tile(rows: int, features: int, block: int, cores: int) -> Tiling:
    """Cut x [rows, features].

    Raises:
        ValueError: a block edge that is not a multiple of 16 up to 256, no rows, or fewer than 16 features.
    """
    if block % FRACTAL or not FRACTAL <= block <= MAX_BLOCK:
        raise ValueError(
            f"fisher_covariance: block is {block}; the cube takes multiples of {FRACTAL} up to {MAX_BLOCK}."
        )
    if rows < 1 or features < FRACTAL:
        raise ValueError(
            f"fisher_covariance: x is [{rows}, {features}]; it needs 1 row and {FRACTAL} features at least."
        )
    fitting = L0_BYTES // BUFFERS // (2 * block) // FRACTAL * FRACTAL
    chunk_rows = min(fitting, round_up(rows, FRACTAL))
    return Tiling(
        rows=rows,
        features=features,
        block=block,
        cores=min(cores, -(-features // block) * -(-rows // chunk_rows)),
        chunk_rows=chunk_rows,
        chunks=-(-rows // chunk_rows),
        tail_rows=rows % chunk_rows,
        blocks=-(-features // block),
        tail_features=features % block,
        strip_rows=_largest_divisor(block // FRACTAL, STRIP_ROWS // FRACTAL) * FRACTAL,
        strip_columns=_largest_divisor(block // FRACTAL, STRIP_COLUMNS // FRACTAL) * FRACTAL,
    )


def _largest_divisor(n: int, limit: int) -> int:
    return max(k for k in range(1, limit + 1) if n % k == 0)
