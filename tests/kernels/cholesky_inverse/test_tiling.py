"""The cut of cholesky_inverse: every block once, within the buffers."""

from __future__ import annotations

import pytest

from bert_thor.kernels.ascend.sizes import L0_BYTES, L0C_BYTES, L1_BYTES, UB_BYTES
from bert_thor.kernels.cholesky_inverse.tiling import GROUP, Tiling, tile

# BERT-Base and BERT-Large: all factors in blocks of 128, one encoder layer's, one attention projection's
BLOCKS = [1, 6, 8, 96, 144, 1944, 3456]


def assert_covers_and_fits(tiling: Tiling) -> None:
    ends = [core * tiling.blocks // tiling.cores for core in range(tiling.cores + 1)]
    shares = [end - begin for begin, end in zip(ends, ends[1:])]
    assert sum(shares) == tiling.blocks
    assert 1 <= min(shares) <= max(shares) <= min(shares) + 1
    assert max(shares) == tiling.share
    assert tiling.group == min(GROUP, min(shares))
    assert tiling.edge <= tiling.padded < tiling.edge + 16
    assert tiling.ub_bytes() <= UB_BYTES
    assert tiling.l1_bytes() <= L1_BYTES
    assert tiling.l0_bytes() <= L0_BYTES
    assert tiling.l0c_bytes() <= L0C_BYTES
    assert 1 <= tiling.panels_at_once <= tiling.fractals
    assert max(8 * tiling.row_pitch, tiling.column_pitch + 16) <= 255  # strides of one vector instruction


@pytest.mark.parametrize("cores", [32, 30])
@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("edge", [16, 32, 64, 96, 128])
def test_every_layer_of_bert(blocks: int, edge: int, cores: int) -> None:
    tiling = tile(blocks, edge, cores)
    assert tiling.cube
    assert tiling.cores == min(blocks, cores)
    assert_covers_and_fits(tiling)


def test_every_edge() -> None:
    for edge in range(8, 129):
        for cube in (True, False):
            tiling = tile(70, edge, 32, cube)
            assert tiling.cube == (cube and edge % 16 == 0)
            assert_covers_and_fits(tiling)


@pytest.mark.parametrize("edge", [0, 7, 129])
def test_refuses_edges_that_the_kernel_has_not(edge: int) -> None:
    with pytest.raises(ValueError, match=f"the block edge is {edge}; the kernel takes 8 to 128"):
        tile(4, edge, 32)


def test_refuses_no_blocks() -> None:
    with pytest.raises(ValueError, match="0 blocks were given; the kernel takes 1 at least"):
        tile(0, 16, 32)


def test_refuses_what_does_not_fit() -> None:
    """The cube route notes for each block of a core whether it failed."""
    with pytest.raises(
        ValueError, match=r"1000000 blocks of 128 on 32 cores need [0-9]+ bytes of UB; the chip has 262144"
    ):
        tile(1000000, 128, 32)
    assert_covers_and_fits(tile(1000000, 128, 32, cube=False))
