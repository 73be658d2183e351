"""Layer norm for Ascend 910 in TIK: rows in batches, two-pass statistics in fp32.

The variance is the corrected two-pass one (Chan, Golub, LeVeque 1983): with m the mean in x's type and d = x - m,

    e = mean(d),  variance = mean(d^2) - e^2,  y = ((d - e) rstd) gamma + beta

so that neither a mean far from zero nor the rounding of m costs digits; the mean that is stored is m + e. In fp32, where a
row may vary by less than that is rounded by, the gradient takes mean(x - mean) out once more. For fp16,
e = (sum x - features m) / features, where both terms are exact sums of 11-bit numbers; for fp32 it is summed from d.

Numbers: sums and statistics are fp32, element-wise steps are done in x's type. In fp16 the sums are the cube's, and what
binds is the bandwidth of global memory; in fp32, which the cube does not take, all is the vector unit's.

Limits: features fill 32-byte blocks, and 8 rows with all that is made of them fit UB (`cut` refuses others): up to 2256
features in fp16 and 2040 in fp32, for the gradient 1120 and 1072.
"""

from __future__ import annotations

from typing import Any

from bert_thor.kernels.ascend import tik_support
from bert_thor.kernels.ascend.norms import float16_programs, float32_programs
from bert_thor.kernels.ascend.norms.tiling import check_rows
from bert_thor.kernels.ascend.registration import register
from bert_thor.kernels.layer_norm.tiling import tile_backward, tile_forward

FORMATS = ["F16_Default", "F32_Default"]
PROGRAMS: dict[str, Any] = {"float16": float16_programs, "float32": float32_programs}


@register(
    "LayerNormForward",
    {"eps": "float"},
    [[kind, "F32_Default", "F32_Default", kind, "F32_Default", "F32_Default"] for kind in FORMATS],
    ["x", "gamma", "beta"],
    ["y", "mean", "rstd"],
)
def layer_norm(
    x: dict[str, Any],
    gamma: dict[str, Any],
    beta: dict[str, Any],
    y: dict[str, Any],
    mean: dict[str, Any],
    rstd: dict[str, Any],
    eps: float,
    kernel_name: str = "layer_norm",
) -> None:
    """Build the kernel: x, y [..., features] fp16 or fp32; gamma, beta [features] and mean, rstd [rows] fp32."""
    rows = check_rows("layer_norm", x)
    tiling = tile_forward(rows, x["shape"][-1], x["dtype"], tik_support.core_count())
    PROGRAMS[x["dtype"]].Forward(tiling, eps).build(kernel_name)


@register(
    "LayerNormBackward",
    {},
    [[kind, kind, "F32_Default", "F32_Default", "F32_Default", kind, "F32_Default", "F32_Default"] for kind in FORMATS],
    ["dy", "x", "gamma", "mean", "rstd"],
    ["dx", "dgamma", "dbeta"],
)
def layer_norm_grad(
    dy: dict[str, Any],
    x: dict[str, Any],
    gamma: dict[str, Any],
    mean: dict[str, Any],
    rstd: dict[str, Any],
    dx: dict[str, Any],
    dgamma: dict[str, Any],
    dbeta: dict[str, Any],
    kernel_name: str = "layer_norm_grad",
) -> None:
    """Build the kernel: dy, x, dx [..., features] fp16 or fp32; the others fp32, mean and rstd from `layer_norm`.

    In fp16 dy gamma and dy xhat must stay below 65504, as they do with any loss scale that serves. Every core sums dgamma
    and dbeta over its rows and adds them to the outputs atomically, in any order: their last bits may differ from run to
    run.
    """
    rows = check_rows("layer_norm_grad", x)
    tiling = tile_backward(rows, x["shape"][-1], x["dtype"], tik_support.core_count())
    PROGRAMS[x["dtype"]].Backward(tiling).build(kernel_name)
