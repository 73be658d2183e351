"""The cut of layer_norm and its gradient: every row once, in whole groups of 8, within UB."""

from __future__ import annotations

import pytest

from bert_thor.kernels.layer_norm.tiling import GROUP, UB_BYTES, Tiling, tile_backward, tile_forward

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


@pytest.mark.parametrize("cut", CUTS)
def test_smaller_vector_buffers_take_smaller_batches(cut) -> None:  # type: ignore[no-untyped-def]
    whole, less = (cut(6144, 768, "float16", 32, ub_bytes=kib * 1024) for kib in (256, 192))
    assert less.ub_bytes <= 192 * 1024
    assert less.batch <= whole.batch


def test_a_buffer_too_small_for_8_rows_is_refused() -> None:
    with pytest.raises(ValueError, match=r"8 rows of 1024 need [0-9]+ bytes of UB; there are 131072"):
        tile_backward(6144, 1024, "float32", 32, ub_bytes=128 * 1024)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(("features", "dtype"), [(0, "float16"), (24, "float16"), (12, "float32"), (4096, "float16")])
def test_refuses_rows_that_do_not_fill_blocks(cut, features: int, dtype: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=f"features is {features}; it takes multiples of"):
        cut(64, features, dtype, 32)


@pytest.mark.parametrize("cut", CUTS)
def test_refuses_no_rows(cut) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="there are 0 rows"):
        cut(0, 64, "float16", 32)
