"""The transformer's add-dropout-norm and its gradient for Ascend 910 in TIK; layer norm as in layer_norm/tbe.py.

    sum = residual + dropout(x + bias)        y = layer_norm(sum, gamma, beta, eps)

What dropout keeps is given by a mask of bits in the form of MindSpore's `DropoutGenMask`: uint8, bit i % 8 of byte i / 8
is 1 where element i is kept, in runs of 128 bits. The gradient takes the same mask. The counter-based generator of the
CPU kernels (Philox4x32-10) could be built from what the vector unit has, 32-bit products from 16-bit halves, exclusive or
from and, or, and minus, to the same bits. It would cost 313 cycles per 64 elements and direction; the mask costs 12 to 18.
`residual_layer_norm` and its gradient are for probability 0 and take no mask.

Numbers: fp16 rounds after every element-wise step; sums and statistics are fp32.

Limits: as for layer norm; up to 1440 features in fp16 and 1640 in fp32, for the gradient 1056 and 1024, which is BERT-Large's width.
"""

from __future__ import annotations

from typing import Any

from bert_thor.kernels.ascend import tik_support
from bert_thor.kernels.ascend.norms.tiling import check_rows
from bert_thor.kernels.ascend.registration import register
from bert_thor.kernels.residual_dropout_layer_norm import float16_programs, float32_programs
from bert_thor.kernels.residual_dropout_layer_norm.tiling import tile_backward, tile_forward

PROGRAMS: dict[str, Any] = {"float16": float16_programs, "float32": float32_programs}
WIDE, BITS = "F32_Default", "U8_Default"
ROWS = ("F16_Default", "F32_Default")
Description = dict[str, Any]


def check_probability(name: str, probability: float) -> None:
    """Refuse what no dropout with a mask has."""
    if not 0 < probability < 1:
        raise ValueError(f"{name}: probability is {probability}; with a mask it lies between 0 and 1, both excluded.")


def _forward(name: str, x: Description, eps: float, probability: float, kernel_name: str) -> None:
    tiling = tile_forward(check_rows(name, x), x["shape"][-1], x["dtype"], tik_support.core_count())
    PROGRAMS[x["dtype"]].Forward(tiling, eps, probability).build(kernel_name)


def _backward(name: str, total: Description, probability: float, kernel_name: str) -> None:
    tiling = tile_backward(check_rows(name, total), total["shape"][-1], total["dtype"], tik_support.core_count())
    PROGRAMS[total["dtype"]].Backward(tiling, probability).build(kernel_name)


@register(
    "ResidualDropoutLayerNorm",
    {"eps": "float", "probability": "float"},
    [[kind, WIDE, kind, WIDE, WIDE, BITS, kind, kind, WIDE, WIDE] for kind in ROWS],
    ["x", "bias", "residual", "gamma", "beta", "mask"],
    ["y", "sum", "mean", "rstd"],
)
def residual_dropout_layer_norm(
    x: Description,
    bias: Description,
    residual: Description,
    gamma: Description,
    beta: Description,
    mask: Description,
    y: Description,
    total: Description,
    mean: Description,
    rstd: Description,
    eps: float,
    probability: float,
    kernel_name: str = "residual_dropout_layer_norm",
) -> None:
    """Build the kernel: x, residual, y, sum [..., features] fp16 or fp32; mask uint8 [elements / 8, in runs of 16];
    bias, gamma, beta [features] and mean, rstd [rows] fp32. 0 < probability < 1."""
    check_probability("residual_dropout_layer_norm", probability)
    _forward("residual_dropout_layer_norm", x, eps, probability, kernel_name)


@register(
    "ResidualLayerNorm",
    {"eps": "float"},
    [[kind, WIDE, kind, WIDE, WIDE, kind, kind, WIDE, WIDE] for kind in ROWS],
    ["x", "bias", "residual", "gamma", "beta"],
    ["y", "sum", "mean", "rstd"],
)
def residual_layer_norm(
    x: Description,
    bias: Description,
    residual: Description,
    gamma: Description,
    beta: Description,
    y: Description,
    total: Description,
    mean: Description,
    rstd: Description,
    eps: float,
    kernel_name: str = "residual_layer_norm",
) -> None:
    """Build the kernel of probability 0: sum = residual + (x + bias)."""
    _forward("residual_layer_norm", x, eps, 0.0, kernel_name)


@register(
    "ResidualDropoutLayerNormGrad",
    {"probability": "float"},
    [[kind, kind, WIDE, WIDE, WIDE, BITS, kind, WIDE, kind, WIDE, WIDE] for kind in ROWS],
    ["dy", "sum", "gamma", "mean", "rstd", "mask"],
    ["dx", "dbias", "dresidual", "dgamma", "dbeta"],
)
def residual_dropout_layer_norm_grad(
    dy: Description,
    total: Description,
    gamma: Description,
    mean: Description,
    rstd: Description,
    mask: Description,
    dx: Description,
    dbias: Description,
    dresidual: Description,
    dgamma: Description,
    dbeta: Description,
    probability: float,
    kernel_name: str = "residual_dropout_layer_norm_grad",
) -> None:
    """Build the kernel: dy, sum, dx, dresidual [..., features] fp16 or fp32; mask as above; the others fp32.

    dbias, dgamma and dbeta are added up over the cores atomically, in any order.
    """
    check_probability("residual_dropout_layer_norm_grad", probability)
    _backward("residual_dropout_layer_norm_grad", total, probability, kernel_name)


@register(
    "ResidualLayerNormGrad",
    {},
    [[kind, kind, WIDE, WIDE, WIDE, kind, WIDE, WIDE, WIDE] for kind in ROWS],
    ["dy", "sum", "gamma", "mean", "rstd"],
    ["dresidual", "dbias", "dgamma", "dbeta"],
)
def residual_layer_norm_grad(
    dy: Description,
    total: Description,
    gamma: Description,
    mean: Description,
    rstd: Description,
    dresidual: Description,
    dbias: Description,
    dgamma: Description,
    dbeta: Description,
    kernel_name: str = "residual_layer_norm_grad",
) -> None:
    """Build the kernel of probability 0, where dx is dresidual."""
    _backward("residual_layer_norm_grad", total, 0.0, kernel_name)
