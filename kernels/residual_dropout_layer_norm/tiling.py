"""How the add-dropout-norm is cut for Ascend 910: as layer norm, with smaller batches for what it holds beside it."""

from __future__ import annotations

from bert_thor.kernels.ascend.norms.tiling import SLOTS, TRACE_BYTES, VALUE_BYTES, Tiling, cut
from bert_thor.kernels.ascend.sizes import FP32_LANES

MASK_BITS = 128  # of the register that a selection reads its mask from
KEPT_ITEMS = 8 * MASK_BITS  # fp16 numbers 0 and 1 made of the mask at a time, for fp32


def mask_bytes(features: int) -> int:
    """Bytes of mask per row, at most."""
    return -(-features // 8)


def tile_forward(rows: int, features: int, dtype: str, cores: int) -> Tiling:
    """Per row, fp16: x, residual and one to work in, then what layer norm holds; fp32: these three and their sum, and the
    sums in flight. Both: the mask and the statistics. Raises ValueError as `ascend.norms.tiling.cut`."""
    if dtype == "float16":
        row = 9 * features * 2 + 2 * TRACE_BYTES + VALUE_BYTES
    else:
        row = 4 * features * 4 + SLOTS * 2 * FP32_LANES * 4 + VALUE_BYTES
    fixed = 12 * features + 12288
    return cut("residual_dropout_layer_norm", rows, features, dtype, cores, row + mask_bytes(features), fixed)


def tile_backward(rows: int, features: int, dtype: str, cores: int) -> Tiling:
    """Per row what the gradient of layer norm holds, in fp16 dx too, and the mask, in fp16 of two batches."""
    if dtype == "float16":
        row = 13 * features * 2 + 2 * TRACE_BYTES + VALUE_BYTES + 2 * mask_bytes(features)
        fixed = 8 * features + 8192
    else:
        row = 6 * features * 4 + 2 * SLOTS * 2 * FP32_LANES * 4 + VALUE_BYTES + mask_bytes(features)
        fixed = 20 * features + 9216
    return cut("residual_dropout_layer_norm_grad", rows, features, dtype, cores, row, fixed)
