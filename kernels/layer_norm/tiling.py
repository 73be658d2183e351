"""How layer_norm and layer_norm_grad are cut for Ascend 910: what a row and the parameters take of UB."""

from __future__ import annotations

from bert_thor.kernels.ascend.norms.tiling import SLOTS, TRACE_BYTES, VALUE_BYTES, Tiling, cut
from bert_thor.kernels.ascend.sizes import FP32_LANES


def tile_forward(rows: int, features: int, dtype: str, cores: int) -> Tiling:
    """The cut of `layer_norm`. Per row, fp16: x, x - m and y, each for two batches, and two fractals of sums;
    fp32: two copies of x, one to work in, and the sums and squares in flight. Both: the statistics."""
    if dtype == "float16":
        row = 6 * features * 2 + 2 * TRACE_BYTES + VALUE_BYTES
    else:
        row = 3 * features * 4 + SLOTS * 2 * FP32_LANES * 4 + VALUE_BYTES
    return cut("layer_norm", rows, features, dtype, cores, row, 8 * features + 4096)


def tile_backward(rows: int, features: int, dtype: str, cores: int) -> Tiling:
    """The cut of `layer_norm_grad`. Per row, fp16: dy, x, g, xhat and dx, each for two batches, two more to work in, and
    two fractals of sums; fp32: dy, x, four to work in, and the sums in flight. Both: the statistics."""
    if dtype == "float16":
        row = 12 * features * 2 + 2 * TRACE_BYTES + VALUE_BYTES
    else:
        row = 6 * features * 4 + 2 * SLOTS * 2 * FP32_LANES * 4 + VALUE_BYTES
    return cut("layer_norm_grad", rows, features, dtype, cores, row, 16 * features + 4096)
