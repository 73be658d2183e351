"""The cut of layer_norm and its gradient: every row once, in whole groups of 8, within UB."""

from __future__ import annotations

import pytest

from bert_thor.kernels.ascend.norms.tiling import GROUP, Tiling
from bert_thor.kernels.ascend.sizes import UB_BYTES
from bert_thor.kernels.layer_norm.tiling import tile_backward, tile_forward

CUTS = [tile_forward, tile_backward]
BERT_ROWS = (16 * 128, 48 * 128, 24 * 512, 16 * 20)


def assert_covers(tiling: Tiling) -> None:
    begins = [core * tiling.groups // tiling.cores * GROUP for core in range(tiling.cores + 1)]
    assert begins[0] == 0
    assert begins[-1] - GROUP < tiling.rows <= begins[-1]
    assert all(a < b for a, b in zip(begins, begins[1:]))
    assert tiling.batch % GROUP == 0 < tiling.batch
    assert tiling.ub_bytes <= UB_BYTES


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("features", [128, 768, 1024])
@pytest.mark.parametrize("rows", BERT_ROWS)
@pytest.mark.parametrize("cores", [32, 30])
def test_every_shape_of_bert(cut, rows: int, features: int, dtype: str, cores: int) -> None:  # type: ignore[no-untyped-def]
    tiling = cut(rows, features, dtype, cores)
    assert_covers(tiling)
    assert tiling.cores == cores


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("rows", [1, 7, 8, 9, 255, 256, 257])
def test_few_rows_use_few_cores(cut, rows: int) -> None:  # type: ignore[no-untyped-def]
    tiling = cut(rows, 64, "float16", 32)
    assert_covers(tiling)
    assert tiling.cores == min(32, -(-rows // 8))


@pytest.mark.parametrize(
    ("cut", "dtype", "most", "step"),
    [
        (tile_forward, "float16", 2256, 16),
        (tile_backward, "float16", 1120, 16),
        (tile_backward, "float32", 1072, 8),
    ],
)
def test_the_most_features_are_those_of_which_8_rows_fit(cut, dtype: str, most: int, step: int) -> None:  # type: ignore[no-untyped-def]
    """As kernels/README.md has them."""
    assert cut(6144, most, dtype, 32).batch == 8
    with pytest.raises(
        ValueError, match=rf"8 rows of {most + step} {dtype} need [0-9]+ bytes of UB; the chip has 262144"
    ):
        cut(6144, most + step, dtype, 32)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(("features", "dtype"), [(0, "float16"), (24, "float16"), (12, "float32"), (4096, "float16")])
def test_refuses_rows_that_do_not_fill_blocks(cut, features: int, dtype: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=f"features is {features}; it takes multiples of"):
        cut(64, features, dtype, 32)


@pytest.mark.parametrize("cut", CUTS)
def test_refuses_no_rows(cut) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="there are 0 rows"):
        cut(0, 64, "float16", 32)
