"""The cut of the add-dropout-norm and its gradient: BERT's widths fit UB, and wider rows are refused."""

from __future__ import annotations

import pytest

from bert_thor.kernels.ascend.sizes import UB_BYTES
from bert_thor.kernels.residual_dropout_layer_norm.tiling import tile_backward, tile_forward


@pytest.mark.parametrize("cut", [tile_forward, tile_backward])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("features", [128, 768, 1024])
@pytest.mark.parametrize("rows", [1, 9, 16 * 20, 48 * 128])
def test_every_shape_of_bert(cut, rows: int, features: int, dtype: str) -> None:  # type: ignore[no-untyped-def]
    tiling = cut(rows, features, dtype, 32)
    assert tiling.batch % 8 == 0 < tiling.batch
    assert tiling.ub_bytes <= UB_BYTES


@pytest.mark.parametrize(
    ("cut", "dtype", "most", "step"),
    [
        (tile_forward, "float16", 1440, 16),
        (tile_forward, "float32", 1640, 8),
        (tile_backward, "float16", 1056, 16),
        (tile_backward, "float32", 1024, 8),
    ],
)
def test_the_most_features_are_those_of_which_8_rows_fit(cut, dtype: str, most: int, step: int) -> None:  # type: ignore[no-untyped-def]
    """As kernels/README.md has them."""
    assert cut(6144, most, dtype, 32).batch == 8
    with pytest.raises(
        ValueError, match=rf"8 rows of {most + step} {dtype} need [0-9]+ bytes of UB; the chip has 262144"
    ):
        cut(6144, most + step, dtype, 32)
