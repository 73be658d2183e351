"""The cut of fisher_covariance: it covers the problem once, and it fits the chip."""

from __future__ import annotations

import pytest

from bert_thor.kernels.ascend.sizes import L0_BYTES, L0C_BYTES, L1_BYTES, UB_BYTES
from bert_thor.kernels.fisher_covariance.tiling import Tiling, tile

BERT_FEATURES = (768, 2304, 3072, 1024, 4096, 30522)
BERT_ROWS = (16 * 128, 48 * 128, 24 * 512, 160)
BLOCKS = (16, 48, 64, 128, 144, 256)


def assert_covers(tiling: Tiling) -> None:
    short = tiling.tail_rows or tiling.chunk_rows
    assert (tiling.chunks - 1) * tiling.chunk_rows + short == tiling.rows
    width = tiling.tail_features or tiling.block
    assert (tiling.blocks - 1) * tiling.block + width == tiling.features
    shares = [
        (core + 1) * tiling.total // tiling.cores - core * tiling.total // tiling.cores for core in range(tiling.cores)
    ]
    assert sum(shares) == tiling.total
    assert min(shares) >= 1
    assert max(shares) - min(shares) <= 1


def assert_fits(tiling: Tiling) -> None:
    assert tiling.ub_bytes() <= UB_BYTES
    assert tiling.l1_bytes() <= L1_BYTES
    assert tiling.l0_bytes() <= L0_BYTES
    assert tiling.l0c_bytes() <= L0C_BYTES
    assert tiling.block % tiling.strip_rows == tiling.block % tiling.strip_columns == 0
    assert tiling.chunk_rows % 16 == tiling.strip_rows % 16 == tiling.strip_columns % 16 == 0
    assert tiling.chunk_rows // 16 * tiling.block // 16 <= 255  # fractals in one load2dv1
    assert tiling.strip_rows <= 255  # repeats of one vmuls
    assert tiling.chunk_rows <= 4095  # bursts of one data_move


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("features", BERT_FEATURES)
@pytest.mark.parametrize("rows", BERT_ROWS)
@pytest.mark.parametrize("cores", [32, 30])
def test_every_shape_of_bert(rows: int, features: int, block: int, cores: int) -> None:
    tiling = tile(rows, features, block, cores)
    assert_covers(tiling)
    assert_fits(tiling)


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 127, 128, 129, 1000])
@pytest.mark.parametrize("features", [16, 17, 127, 128, 129, 1000])
def test_tails(rows: int, features: int) -> None:
    for block in BLOCKS:
        tiling = tile(rows, features, block, 32)
        assert_covers(tiling)
        assert_fits(tiling)


def test_whole_blocks_per_core_need_no_atomic_sum() -> None:
    assert tile(6144, 4096, 128, 32).exclusive
    assert not tile(6144, 1024, 128, 32).exclusive
    assert not tile(6144, 4096, 128, 30).exclusive


@pytest.mark.parametrize("block", [0, 8, 24, 272])
def test_refuses_block_edges_that_the_cube_has_not(block: int) -> None:
    with pytest.raises(ValueError, match=f"block is {block}; the cube takes multiples of 16 up to 256"):
        tile(128, 128, block, 32)


@pytest.mark.parametrize(("rows", "features"), [(0, 128), (128, 15)])
def test_refuses_what_has_no_fractal(rows: int, features: int) -> None:
    with pytest.raises(ValueError, match=r"needs 1 row and 16 features"):
        tile(rows, features, 128, 32)
